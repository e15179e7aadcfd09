"""A canary is sticky, the same everywhere, grows one way, and is about as large as asked for."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from strangler_proxy.config import Route
from strangler_proxy.routing.decide import BUCKETS, Decision, bucket, forced, instead
from strangler_proxy.routing.decide import decide as decide_by


def route(percent: int, candidate: str | None = "new", name: str = "r") -> Route:
    serve = {"candidate_percent": percent}
    return Route.model_validate(
        {"name": name, "match": "/", "control": "old", "candidate": candidate, "serve": serve}
    )


def decide(route: Route, caller: bytes) -> Decision:
    return decide_by(route, route.serve, caller)


PERCENTS = [route(percent) for percent in range(101)]


@settings(max_examples=200, deadline=None, database=None)
@given(caller=st.binary(max_size=200))
def test_raising_the_percent_moves_a_caller_once_and_one_way(caller: bytes) -> None:
    sides = [decide(each, caller).upstream for each in PERCENTS]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] == "old"
    assert sides[100] == "new"
    assert sides == [decide(each, caller).upstream for each in PERCENTS]


def test_share_of_callers_is_about_the_percent() -> None:
    callers = [b"caller-%d" % number for number in range(20_000)]
    for percent in (1, 5, 25, 50, 99):
        served = sum(decide(PERCENTS[percent], caller).upstream == "new" for caller in callers)
        assert abs(served / len(callers) - percent / 100) < 0.012


def test_caller_meets_a_candidate_on_all_its_routes_and_others_by_their_own_lot() -> None:
    callers = [b"caller-%d" % number for number in range(2000)]
    one, same = route(20, name="one"), route(20, name="same")
    other = route(20, candidate="other")
    chosen = [decide(one, caller).upstream == "new" for caller in callers]
    assert chosen == [decide(same, caller).upstream == "new" for caller in callers]
    both = sum(
        first and decide(other, caller).upstream == "other"
        for first, caller in zip(chosen, callers, strict=True)
    )
    assert 40 < both < 130  # four percent, were they independent


def test_route_without_candidate_is_always_the_controls() -> None:
    assert decide(route(0, candidate=None), b"x").upstream == "old"


def test_buckets_are_the_same_in_every_process() -> None:
    program = "from strangler_proxy.routing.decide import bucket; print(bucket(b'caller', 'new'))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(said.stdout) == bucket(b"caller", "new") < BUCKETS


def test_request_with_the_secret_gets_the_side_it_asks_for_whatever_the_percent() -> None:
    assert forced(PERCENTS[0], "candidate") == Decision("new", "forced")
    assert forced(PERCENTS[100], "control") == Decision("old", "forced")
    assert forced(route(0, candidate=None), "candidate") is None
    assert forced(PERCENTS[0], "nobody") is None


def test_open_candidate_falls_back_only_where_the_route_allows_it() -> None:
    allowed = PERCENTS[50].model_copy(update={"when_open": "control"})
    chosen = Decision("new", "canary")
    assert instead(allowed, chosen) == Decision("old", "fallback")
    assert instead(PERCENTS[50], chosen) is None
    assert (
        instead(allowed, Decision("old", "canary-control")) is None
    )  # the control has no stand-in
    assert instead(None, chosen) is None
