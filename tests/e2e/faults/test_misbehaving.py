"""Upstreams that are late, stall, break off or speak no HTTP; and clients that only hang up."""

from __future__ import annotations

import threading
from collections import Counter
from time import monotonic
from typing import Any

import pytest

from tests.e2e.faults.conftest import Stage, Times, pause_until, within
from tests.e2e.faults.load import (
    CUT,
    Load,
    Seen,
    all_good_s,
    ask,
    assert_posts_once,
    assert_untouched,
    statuses,
)
from tests.e2e.faults.running import Service
from tests.e2e.faults.service import is_hit
from tests.e2e.proxy.conftest import Served
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until

TIMEOUT_S = 0.5
IDLE_S = 0.4
TICK_S = 0.25
SLACK_S = 1.0
ROUTE: dict[str, Any] = {
    "name": "main",
    "match": "/main",
    "control": "main",
    "timeout_s": TIMEOUT_S,
    "idle_s": IDLE_S,
}


def single(
    stage: Stage, breaker: dict[str, Any] | None = None, **route: Any
) -> tuple[Service, Served]:
    main = stage.service("main")
    more = {"breaker": breaker} if breaker else {}
    served = stage.proxy(upstreams={"main": {"url": main.url, **more}}, routes=[{**ROUTE, **route}])
    return main, served


@pytest.mark.parametrize(
    ("behaviour", "status", "least_s", "most_s"),
    [
        ("slow 30", 504, TIMEOUT_S, TIMEOUT_S + TICK_S),
        ("stall", CUT, IDLE_S, IDLE_S + TICK_S),
        ("cut", CUT, 0, 0),
        ("garbage", 502, 0, 0),
        ("reset", 502, 0, 0),
        ("error 500", 500, 0, 0),
    ],
    ids=["late", "stalling", "breaking off", "garbage", "resetting", "failing"],
)
def test_bad_answers_end_as_what_they_are_in_time_and_heal_at_once(
    stage: Stage, times: Times, behaviour: str, status: int, least_s: float, most_s: float
) -> None:
    main, served = single(stage)
    load, calm = stage.load(served, "/main"), stage.calm(served)
    load.settle()
    began = monotonic()
    fault = main.behave(*behaviour.split())
    first = load.wait(lambda seen: seen.status == status, began)
    load.wait(lambda seen: seen.status == status, fault, 12)
    heal_began = monotonic()
    heal = main.behave("normal")
    good = load.wait(lambda seen: seen.good, heal, 40)
    load.stop()

    bad = load.between(fault, heal_began)
    assert statuses(bad) == {status}
    assert all(least_s <= seen.took_s < most_s + SLACK_S for seen in bad), bad
    assert statuses(load.between(0, began)) | statuses(load.since(heal)) == {200}
    assert all(seen.by == "main" for seen in bad if status == 500)
    assert_posts_once(load, main)
    assert_untouched(calm)
    back = all_good_s(load, heal)
    assert back < most_s + SLACK_S
    times.tell(
        first_bad_s=within(first.end, most_s + SLACK_S, of=began),
        longest_s=max(seen.took_s for seen in bad),
        first_good_s=within(good.end, most_s + SLACK_S, of=heal),
        all_good_s=back,
    )


@pytest.mark.parametrize("behaviour", ["reset", "garbage", "cut", "error 503"])
def test_any_kind_of_failure_opens_the_breaker(stage: Stage, times: Times, behaviour: str) -> None:
    main, served = single(stage, {"failures": 5, "open_s": 1})
    load, calm = stage.load(served, "/main"), stage.calm(served)
    load.settle()
    began = monotonic()
    main.behave(*behaviour.split())
    refused = load.wait(turned_away, began, 10)
    heal = main.behave("normal")
    good = load.wait(lambda seen: seen.good, heal, 20)
    load.stop()
    assert_posts_once(load, main)
    assert_untouched(calm)
    failed = [seen for seen in load.hit(began) if not seen.good and not turned_away(seen)]
    tries = Counter(number for _, number in main.journal())
    assert sum(tries[seen.number] for seen in failed) >= 5  # a GET may be tried twice
    assert len(failed) <= 5 + 4 + 1  # what was under way, and a probe
    times.tell(
        to_503_s=within(refused.end, SLACK_S, of=began),
        first_good_s=within(good.end, 1 + TICK_S + SLACK_S, of=heal),
    )


def turned_away(seen: Seen) -> bool:
    return seen.status == 503 and seen.by == "" and seen.retry_after_s is not None


def test_answer_that_comes_slowly_but_steadily_is_passed_on_whole(
    stage: Stage, times: Times
) -> None:
    main, served = single(stage)
    main.behave("trickle", 0.1)
    with Client(served.port, timeout_s=20) as client:
        seen = ask(client, "GET", "/main")
    assert seen.good
    assert seen.took_s > 1.5 > TIMEOUT_S + IDLE_S + TICK_S
    times.tell(took_s=seen.took_s)


def test_total_time_ends_an_answer_that_comes_steadily(stage: Stage, times: Times) -> None:
    main, served = single(stage, total_s=0.7)
    main.behave("trickle", 0.1)
    with Client(served.port, timeout_s=20) as client:
        seen = ask(client, "GET", "/main")
    assert seen.status == CUT
    assert 0.7 <= seen.took_s < 0.7 + TICK_S + SLACK_S
    times.tell(took_s=seen.took_s)


def test_retries_hide_an_upstream_that_fails_now_and_then_from_whoever_may_be_repeated(
    stage: Stage, times: Times
) -> None:
    main, served = single(stage, retry={"most": 3, "backoff_s": 0.02})
    main.behave("flaky", 2)
    load, calm = stage.load(served, "/main"), stage.calm(served)
    load.settle(150)
    load.stop()
    gets = [seen for seen in load.seen if seen.method == "GET"]
    posts = [seen for seen in load.seen if seen.method == "POST"]
    assert statuses(gets) == {200}
    assert all(seen.status == (502 if is_hit(seen.number) else 200) for seen in posts)
    assert_posts_once(load, main)
    assert_untouched(calm)
    asked = sum(method == "GET" for method, _ in main.journal())
    times.tell(gets=len(gets), asked_for=asked, longest_s=max(seen.took_s for seen in gets))
    assert asked == len(gets) + 2 * sum(is_hit(seen.number) for seen in gets) > len(gets)


def test_thousands_of_clients_that_hang_up_open_no_breaker(stage: Stage, times: Times) -> None:
    main, served = single(stage, {"failures": 3, "open_s": 60}, timeout_s=20)
    calm = stage.calm(served)
    main.behave("slow", 0.3)
    quitters = [threading.Thread(target=hang_up, args=(served.port, 500)) for _ in range(4)]
    began = monotonic()
    for quitter in quitters:
        quitter.start()
    for quitter in quitters:
        quitter.join()
    took_s = monotonic() - began
    asked = len(main.journal())
    assert asked > 1000, "they hung up before anybody was asked"
    main.behave("normal")
    with Load(served.port, "/main") as load:
        load.settle(40)
    assert statuses(load.seen) == {200}
    state = upstream(served, "main")
    assert (state["breaker"], state["opened"]) == ("closed", 0)
    until(lambda: upstream(served, "main")["in_flight"] == 0, "nothing is left of them")
    assert_untouched(calm)
    times.tell(hung_up=2000, reached_the_upstream=asked, took_s=took_s)


def upstream(served: Served, name: str) -> dict[str, Any]:
    return next(row for row in served.running.upstreams() if row["name"] == name)


def hang_up(port: int, times: int) -> None:
    """Ask and leave, in each of the ways there are."""
    for number in range(times):
        with Client(port) as client:
            if number % 2:
                client.get("/main?0")
            else:
                client.send(b"POST /main?0 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nmore")
            if number % 8 == 0:
                pause_until(monotonic() + 0.02)  # it is being worked on
            if number % 3 == 0:
                client.reset()
