"""A worker of the proxy is killed while a breaker is open and a limit is used up."""

from __future__ import annotations

import os
import signal
from time import monotonic

from tests.e2e.faults.conftest import Stage, Times, within
from tests.e2e.faults.load import CUT, Load, assert_posts_once, statuses
from tests.e2e.proxy.conftest import Served
from tests.wire_tools.proxy import until

REPLACED_S = 10.0
"""A new process is started and given its configuration."""
LIMIT = 40


def test_breaker_and_limits_stay_in_force_while_a_worker_is_replaced(
    stage: Stage, times: Times
) -> None:
    main, few = stage.service("main"), stage.service("few")
    served = stage.proxy(
        upstreams={
            "main": {"url": main.url, "breaker": {"failures": 5, "open_s": 120}},
            "few": {"url": few.url},
        },
        routes=[
            {"name": "main", "match": "/main", "control": "main"},
            {
                "name": "few",
                "match": "/few",
                "control": "few",
                "rate_limit": {"limit": f"{LIMIT}/day", "by": "route"},
            },
        ],
    )
    broken, limited, calm = (
        stage.load(served, "/main"),
        stage.load(served, "/few"),
        stage.calm(served),
    )
    limited.wait(lambda seen: seen.status == 429, 0, 20)
    main.kill()
    broken.wait(lambda seen: seen.status == 503, 0, 20)
    before = workers(served)
    fault = monotonic()
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(workers(served) - {min(before)}) == 2, "it is replaced", REPLACED_S)
    replaced = monotonic()
    for load in (broken, limited):
        load.wait(lambda seen: seen.status in (429, 503), replaced, 60)
    calm.wait(lambda seen: seen.good, replaced, 30)
    for load in (broken, limited, calm):
        load.stop()

    assert statuses(broken.hit(fault)) <= {503, CUT}
    assert statuses(limited.hit(fault)) <= {429, CUT}
    assert statuses(calm.seen) <= {200, CUT}
    assert sum(seen.good for seen in limited.seen) == LIMIT
    assert len(few.journal()) == LIMIT
    cut = [seen for load in (broken, limited, calm) for seen in load.seen if seen.status == CUT]
    assert all(was_connected_then(seen.at, fault) for seen in cut)
    assert len(cut) <= 4 + 4 + 2
    assert_posts_once(limited, few)
    longest_s = max(seen.took_s for seen in calm.seen)
    assert longest_s < REPLACED_S
    times.tell(
        replaced_s=within(replaced, REPLACED_S, of=fault), cut=len(cut), longest_wait_s=longest_s
    )


def was_connected_then(at: float, fault: float) -> bool:
    """A client learns that its connection is gone when it asks the next time."""
    return at < fault + 0.5


def workers(served: Served) -> set[int]:
    return {worker.pid for worker in served.status().workers}


def test_open_breaker_is_open_in_every_worker(stage: Stage) -> None:
    main = stage.service("main")
    served = stage.proxy(
        upstreams={"main": {"url": main.url, "breaker": {"failures": 5, "open_s": 120}}},
        routes=[{"name": "main", "match": "/main", "control": "main"}],
    )
    main.kill()
    with Load(served.port, "/main", clients=1, methods=["GET"]) as load:
        load.wait(lambda seen: seen.status == 503, 0, 60)
    assert [seen.status for seen in load.seen[:5]] == [502] * 5
    assert statuses(load.seen[5:]) == {503}
