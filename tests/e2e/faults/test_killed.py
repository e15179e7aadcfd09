"""An upstream that is killed (SIGKILL) and started again on the same port."""

from __future__ import annotations

from time import monotonic

from tests.e2e.faults.conftest import Stage, Times, pause_until, within
from tests.e2e.faults.load import (
    CUT,
    Asking,
    all_good_s,
    assert_posts_once,
    assert_untouched,
    statuses,
)
from tests.wire_tools.proxy import until

OPEN_S = 1.0
SLACK_S = 1.0
BREAKER = {"failures": 5, "open_s": OPEN_S}


def test_single_address_answers_502_at_once_and_heals_with_the_first_request(
    stage: Stage, times: Times
) -> None:
    main = stage.service("main")
    served = stage.proxy(
        upstreams={"main": {"url": main.url}},
        routes=[{"name": "main", "match": "/main", "control": "main"}],
    )
    load, calm = stage.load(served, "/main"), stage.calm(served)
    load.settle()
    fault = main.kill()
    gone = monotonic()
    first = load.wait(lambda seen: seen.status == 502, fault)
    pause_until(fault + 1)
    heal_began = monotonic()
    heal = main.start()
    good = load.wait(lambda seen: seen.good, heal, 40)
    load.stop()

    assert statuses(load.between(0, fault)) == {200}
    assert statuses(load.between(gone, heal_began)) == {502}
    assert statuses(load.since(heal)) == {200}
    assert all(seen.took_s < SLACK_S for seen in load.seen)
    assert CUT not in statuses(load.seen)
    assert_posts_once(load, main)
    assert_untouched(calm)
    times.tell(
        to_502_s=within(first.end, SLACK_S, of=fault),
        first_good_s=within(good.end, SLACK_S, of=heal),
        all_good_s=all_good_s(load, heal),
    )


def test_breaker_turns_502_into_503_at_once_and_heals_within_its_time(
    stage: Stage, times: Times
) -> None:
    main = stage.service("main")
    served = stage.proxy(
        upstreams={"main": {"url": main.url, "breaker": BREAKER}},
        routes=[{"name": "main", "match": "/main", "control": "main"}],
    )
    load, calm = stage.load(served, "/main"), stage.calm(served)
    load.settle()
    fault = main.kill()
    gone = monotonic()
    refused = load.wait(lambda seen: seen.status == 503, fault)
    pause_until(fault + 2.5 * OPEN_S)
    heal_began = monotonic()
    heal = main.start()
    good = load.wait(lambda seen: seen.good, heal, 40)
    load.stop()

    assert statuses(load.between(gone, heal_began)) == {502, 503}
    bad = [seen for seen in load.hit(fault, heal_began) if seen.status == 502]
    probes = [seen for seen in bad if seen.at > refused.end]
    # Those that were under way together with the fifth failure were not stopped by it.
    assert 5 <= len(bad) - len(probes) <= 5 + 4
    assert 1 <= len(probes) <= (heal_began - fault) / OPEN_S + 1
    turned_away = [seen for seen in load.seen if seen.status == 503]
    assert {seen.retry_after_s for seen in turned_away} <= {1, 2}
    assert max(seen.took_s for seen in turned_away) < 0.5
    assert_posts_once(load, main)
    assert_untouched(calm)
    back = all_good_s(load, heal)
    assert back <= OPEN_S + SLACK_S
    times.tell(
        to_503_s=within(refused.end, SLACK_S, of=fault),
        probes=len(probes),
        first_good_s=within(good.end, OPEN_S + SLACK_S, of=heal),
        all_good_s=back,
    )


def test_control_answers_while_the_candidates_breaker_is_open(stage: Stage, times: Times) -> None:
    old, new = stage.service("old"), stage.service("new")
    served = stage.proxy(
        upstreams={"old": {"url": old.url}, "new": {"url": new.url, "breaker": BREAKER}},
        routes=[
            {
                "name": "moving",
                "match": "/moving",
                "control": "old",
                "candidate": "new",
                "serve": "candidate",
                "when_open": "control",
            }
        ],
    )
    load, calm = stage.load(served, "/moving"), stage.calm(served)
    load.settle()
    assert {seen.by for seen in load.seen} == {"new"}
    fault = new.kill()
    fallback = load.wait(lambda seen: seen.by == "old", fault, 20)
    pause_until(fault + 2.5 * OPEN_S)
    heal_began = monotonic()
    heal = new.start()
    good = load.wait(lambda seen: seen.by == "new", heal, 40)
    load.stop()

    bad = [seen for seen in load.hit(fault) if not seen.good]
    assert statuses(bad) == {502}
    probes = [seen for seen in bad if seen.at > fallback.end]
    assert 5 <= len(bad) - len(probes) <= 5 + 4
    assert len(probes) <= (heal_began - fault) / OPEN_S + 2
    last_old = max(seen.end for seen in load.seen if seen.by == "old")
    assert_posts_once(load, old, new)
    assert_untouched(calm)
    times.tell(
        to_control_s=within(fallback.end, SLACK_S, of=fault),
        probes=len(probes),
        first_candidate_s=within(good.end, OPEN_S + SLACK_S, of=heal),
        all_candidate_s=within(last_old, OPEN_S + SLACK_S, of=heal),
    )


def test_requests_in_flight_move_to_another_address_if_they_may_be_repeated(
    stage: Stage, times: Times
) -> None:
    one, two = stage.service("one"), stage.service("two")
    served = stage.proxy(
        upstreams={"main": {"urls": [one.url, two.url]}},
        routes=[{"name": "main", "match": "/main", "control": "main"}],
    )
    one.behave("slow", 60)
    two.behave("slow", 0.5)
    asking = Asking(served.port, 20)
    until(lambda: len(one.journal() + two.journal()) == 20, "all are in flight")
    hit = {number: method for method, number in one.journal()}
    fault = one.kill()
    seen = asking.answers()

    assert set(hit.values()) == {"GET", "POST"}
    for each in seen:
        lost = each.number in hit and each.method == "POST"
        assert each.status == (502 if lost else 200), each
        assert not lost or "without an answer" in each.detail
    posts = [number for method, number in one.journal() + two.journal() if method == "POST"]
    assert len(posts) == len(set(posts)) == 10
    times.tell(all_answered_s=within(max(each.end for each in seen), 0.5 + SLACK_S, of=fault))


def test_answer_cut_by_the_kill_is_never_passed_on_as_whole(stage: Stage, times: Times) -> None:
    main = stage.service("main")
    served = stage.proxy(
        upstreams={"main": {"url": main.url, "breaker": BREAKER}},
        routes=[{"name": "main", "match": "/main", "control": "main"}],
    )
    main.behave("stall")
    asking = Asking(served.port, 10)
    until(lambda: len(main.journal()) == 10, "all are being answered")
    fault = main.kill()
    seen = asking.answers()
    assert {(each.status, each.by) for each in seen} == {(CUT, "")}
    times.tell(all_cut_s=within(max(each.end for each in seen), SLACK_S, of=fault))
