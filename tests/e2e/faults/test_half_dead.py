"""Two of four addresses killed: nobody notices, whatever is sent."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.e2e.faults.conftest import Stage, Times, pause_until, within
from tests.e2e.faults.load import Load, assert_posts_once, assert_untouched, statuses
from tests.e2e.faults.running import kill_together
from tests.wire_tools.proxy import until

SLACK_S = 1.0
PASSIVE: dict[str, Any] = {"eject": {"failures": 3, "for_s": 1, "longest_s": 2}}
CHECKED: dict[str, Any] = {
    "health": "/health",
    "health_check": {"every_s": 0.4, "timeout_s": 0.3, "fall": 2, "rise": 2},
}
BREAKER: dict[str, Any] = {"breaker": {"failures": 5, "open_s": 1}}


@pytest.mark.parametrize(
    ("treated", "back_s"),
    [(PASSIVE, 2.0), (CHECKED, 2 * 0.44), (PASSIVE | BREAKER, 2.0)],
    ids=["ejected", "checked", "ejected, with a breaker"],
)
def test_two_of_four_addresses_dead_fail_no_request_that_was_sent_after(
    stage: Stage, times: Times, treated: dict[str, Any], back_s: float
) -> None:
    services = [stage.service(name) for name in ("one", "two", "three", "four")]
    served = stage.proxy(
        upstreams={"main": {"urls": [each.url for each in services], **treated}},
        routes=[{"name": "main", "match": "/main", "control": "main"}],
        access_log={"path": str(stage.folder / "access.log")},
    )
    load, calm = stage.load(served, "/main", clients=8, every_s=0.03), stage.calm(served)
    load.settle(80)
    assert {seen.by for seen in load.seen} == {"one", "two", "three", "four"}
    dead = services[:2]
    fault = kill_together(*dead)
    gone = monotonic()
    pause_until(fault + 3)
    heal = max(each.start() for each in dead)
    for name in ("one", "two"):
        back = load.wait(lambda seen, name=name: seen.by == name, heal, 5)
    load.stop()

    assert_only_what_was_in_flight_failed(load, gone, stage.folder / "access.log")
    assert_posts_once(load, *services)
    assert_untouched(calm)
    longest_s = max(seen.took_s for seen in load.seen)
    assert longest_s < SLACK_S
    times.tell(
        failed=sum(not seen.good for seen in load.seen),
        answered=len(load.hit(fault, heal)),
        longest_s=longest_s,
        used_again_s=within(back.end, back_s + SLACK_S, of=heal),
    )


def assert_only_what_was_in_flight_failed(load: Load, gone: float, log: Path) -> None:
    """A POST that a killed server had already been sent cannot be answered, nor repeated.

    Nor can a GET that was repeated, once, at the other one before that was gone too.
    """
    failed = [seen for seen in load.seen if not seen.good]
    assert statuses(failed) <= {502}
    assert [seen for seen in failed if seen.at > gone] == []
    gets = {f"/main?{seen.number}" for seen in failed if seen.method == "GET"}
    until(lambda: gets <= tries_of_failures(log).keys(), "all are in the log")
    assert {target for target in gets if tries_of_failures(log)[target] < 2} == set()
    assert len(failed) <= 4


def tries_of_failures(log: Path) -> dict[str, int]:
    """How often each request that ended in a 5xx was sent, by its target."""
    lines = log.read_text("utf-8").splitlines(keepends=True)
    entries = [json.loads(line) for line in lines if line.endswith("\n")]
    return {each["path"]: each["tries"] for each in entries if each["status"] >= 500}
