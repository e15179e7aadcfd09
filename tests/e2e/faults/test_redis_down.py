"""Redis, which counts rate limits for several machines, is killed or stopped, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from tests.e2e.faults.conftest import Stage, Times, pause_until, within
from tests.e2e.faults.load import (
    Seen,
    all_good_s,
    ask,
    assert_posts_once,
    assert_untouched,
    statuses,
)
from tests.e2e.faults.redis_server import RedisServer, redis_server
from tests.e2e.faults.running import Service
from tests.e2e.proxy.conftest import Served
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until

pytestmark = pytest.mark.services

TIMEOUT_S = 0.2
RETRY_S = 0.5
SLACK_S = 1.0
FEW = 5


@pytest.fixture
def redis(stage: Stage) -> Iterator[RedisServer]:
    with redis_server(stage.folder) as server:
        yield server


def limited(stage: Stage, redis: RedisServer, while_down: str) -> tuple[Service, Served]:
    main = stage.service("main")
    store: dict[str, Any] = {
        "redis": redis.url,
        "timeout_s": TIMEOUT_S,
        "retry_s": RETRY_S,
        "while_down": while_down,
    }
    served = stage.proxy(
        limit_store=store,
        upstreams={"main": {"url": main.url}},
        routes=[
            {
                "name": "main",
                "match": "/main",
                "control": "main",
                "rate_limit": "1000000/day",
            },
            {
                "name": "few",
                "match": "/few",
                "control": "main",
                "rate_limit": {"limit": f"{FEW}/day", "by": "header:x-caller"},
            },
        ],
    )
    return main, served


def asked(served: Served, caller: str, times: int = FEW + 3) -> list[int]:
    """What a caller gets who asks so often, each time on another connection."""
    got: list[Seen] = []
    for _ in range(times):
        with Client(served.port) as client:
            got.append(ask(client, "GET", "/few", f"X-Caller: {caller}"))
    assert all(seen.retry_after_s for seen in got if not seen.good)
    return [seen.status for seen in got]


ENOUGH = [200] * FEW + [429] * 3


@pytest.mark.parametrize("fault_is", ["killed", "stopped"])
def test_requests_go_on_and_are_limited_by_each_machine_while_redis_is_away(
    stage: Stage, redis: RedisServer, times: Times, fault_is: str
) -> None:
    main, served = limited(stage, redis, "count")
    load, calm = stage.load(served, "/main"), stage.calm(served)
    load.settle()
    assert asked(served, "before") == ENOUGH
    fault = redis.kill() if fault_is == "killed" else redis.pause()
    noticed(served, "does not answer")
    assert asked(served, "meanwhile") == ENOUGH
    pause_until(fault + 2.5)
    heal = redis.start() if fault_is == "killed" else redis.resume()
    noticed(served, "answers again")
    counted = within_now(heal, RETRY_S + TIMEOUT_S + SLACK_S)
    keys = redis.keys()
    assert asked(served, "after") == ENOUGH
    assert redis.keys() > keys
    load.stop()

    assert statuses(load.seen) == {200}
    longest_s = max(seen.took_s for seen in load.seen)
    assert longest_s < TIMEOUT_S + SLACK_S
    waited = [seen for seen in load.hit(fault, heal) if seen.took_s > TIMEOUT_S * 0.9]
    # Those under way when it went, and of each worker one for each time it is asked again.
    assert len(waited) <= 4 + 2 * ((heal - fault) / RETRY_S + 1)
    assert_posts_once(load, main)
    assert_untouched(calm)
    times.tell(
        longest_s=longest_s,
        waited=len(waited),
        answered=len(load.hit(fault, heal)),
        counted_again_s=counted,
    )


def test_requests_are_refused_while_redis_is_away_where_the_file_says_so(
    stage: Stage, redis: RedisServer, times: Times
) -> None:
    main, served = limited(stage, redis, "refuse")
    load, calm = stage.load(served, "/main"), stage.calm(served)
    load.settle()
    fault = redis.kill()
    refused = load.wait(lambda seen: seen.status == 503, fault)
    pause_until(fault + 1.5)
    heal = redis.start()
    good = load.wait(lambda seen: seen.good, heal, 40)
    load.stop()

    away = [seen for seen in load.hit(fault) if not seen.good]
    assert {(seen.status, seen.retry_after_s, seen.by) for seen in away} == {(503, 1, "")}
    assert max(seen.took_s for seen in load.seen) < TIMEOUT_S + SLACK_S
    assert_posts_once(load, main)
    assert_untouched(calm)
    back = all_good_s(load, heal)
    assert back < RETRY_S + TIMEOUT_S + SLACK_S
    times.tell(
        to_503_s=within(refused.end, TIMEOUT_S + SLACK_S, of=fault),
        first_good_s=within(good.end, RETRY_S + TIMEOUT_S + SLACK_S, of=heal),
        all_good_s=back,
    )


def noticed(served: Served, words: str) -> None:
    """Wait until both workers have said this of Redis."""
    until(lambda: served.log.read_text().count(words) == 2, f"both say: {words}")


def within_now(heal: float, bound_s: float) -> float:

    return within(monotonic(), bound_s, of=heal)
