"""An upstream that is stopped (SIGSTOP): the kernel accepts for it, and nobody answers."""

from __future__ import annotations

from itertools import pairwise

from tests.e2e.faults.conftest import Stage, Times, pause_until, within
from tests.e2e.faults.load import all_good_s, assert_posts_once, assert_untouched, statuses

OPEN_S = 1.5
TIMEOUT_S = 0.5
TICK_S = 0.25
"""Timeouts are looked at this often."""
SLACK_S = 1.0
ROUTE = {"name": "main", "match": "/main", "control": "main", "timeout_s": TIMEOUT_S}


def test_single_address_times_out_then_is_probed_by_one_request_at_a_time(
    stage: Stage, times: Times
) -> None:
    main = stage.service("main")
    breaker = {"failures": 5, "open_s": OPEN_S}
    served = stage.proxy(upstreams={"main": {"url": main.url, "breaker": breaker}}, routes=[ROUTE])
    load, calm = stage.load(served, "/main", clients=8), stage.calm(served)
    load.settle()
    fault = main.pause()
    refused = load.wait(lambda seen: seen.status == 503, fault)
    pause_until(fault + 2.3 * OPEN_S)
    heal = main.resume()
    good = load.wait(lambda seen: seen.good, heal, 40)
    load.stop()

    late = [seen for seen in load.hit(fault) if seen.status == 504]
    assert statuses(load.hit(fault)) <= {200, 503, 504}
    assert all(TIMEOUT_S <= seen.took_s < TIMEOUT_S + TICK_S + SLACK_S for seen in late), [
        seen.took_s for seen in late
    ]
    # Eight clients wait; the fifth failure stops whoever has not been sent by then.
    probes = [seen for seen in late if seen.at > refused.end]
    assert 5 <= len(late) - len(probes) <= 8 + 4
    assert 1 <= len(probes) <= (heal - fault) / OPEN_S + 1
    assert all(before.end <= after.at for before, after in pairwise(probes))
    turned_away = [seen for seen in load.seen if seen.status == 503]
    assert {seen.retry_after_s for seen in turned_away} <= {1, 2}
    assert max(seen.took_s for seen in turned_away) < 0.5
    assert_posts_once(load, main)
    assert_untouched(calm)
    back = all_good_s(load, heal)
    assert back <= OPEN_S + TIMEOUT_S + SLACK_S
    times.tell(
        to_503_s=within(refused.end, TIMEOUT_S + TICK_S + SLACK_S, of=fault),
        probes=len(probes),
        first_good_s=within(good.end, OPEN_S + TIMEOUT_S + SLACK_S, of=heal),
        all_good_s=back,
    )


def test_one_of_three_addresses_is_ejected_by_its_timeouts(stage: Stage, times: Times) -> None:
    services = [stage.service(name) for name in ("one", "two", "three")]
    eject = {"failures": 3, "for_s": 1, "longest_s": 1}
    served = stage.proxy(
        upstreams={"main": {"urls": [each.url for each in services], "eject": eject}},
        routes=[ROUTE],
    )
    load, calm = stage.load(served, "/main", clients=8), stage.calm(served)
    load.settle(40)
    victim = services[1]
    fault = victim.pause()
    pause_until(fault + 4)
    heal = victim.resume()
    good = load.wait(lambda seen: seen.by == victim.name, heal, 5)
    load.stop()

    bad = [seen for seen in load.seen if not seen.good]
    assert statuses(bad) == {504}
    # Each of two workers needs three failures, then two more rounds of them in these seconds.
    assert len(bad) <= 2 * 3 * 3
    assert len(bad) < len(load.hit(fault, heal)) * 0.1
    assert_posts_once(load, *services)
    assert_untouched(calm)
    back = all_good_s(load, heal)
    assert back <= TIMEOUT_S + TICK_S + SLACK_S
    times.tell(
        failed=len(bad),
        answered=len(load.hit(fault, heal)),
        first_good_s=within(good.end, 1 + TICK_S + SLACK_S, of=heal),
        all_good_s=back,
    )


def test_one_of_three_addresses_is_left_out_by_its_health_checks(
    stage: Stage, times: Times
) -> None:
    services = [stage.service(name) for name in ("one", "two", "three")]
    check = {"every_s": 0.4, "timeout_s": 0.3, "fall": 2, "rise": 2}
    out_s = 2 * 0.44 + 0.3 + SLACK_S
    served = stage.proxy(
        upstreams={
            "main": {
                "urls": [each.url for each in services],
                "health": "/health",
                "health_check": check,
                "eject": {"failures": 1000},
            }
        },
        routes=[ROUTE],
    )
    load, calm = stage.load(served, "/main"), stage.calm(served)
    load.settle(40)
    victim = services[1]
    fault = victim.pause()
    pause_until(fault + 4)
    heal = victim.resume()
    good = load.wait(lambda seen: seen.by == victim.name, heal, 5)
    load.stop()

    bad = [seen for seen in load.seen if not seen.good]
    assert statuses(bad) <= {504}
    last = max((seen.at for seen in bad), default=fault)
    assert_posts_once(load, *services)
    assert_untouched(calm)
    times.tell(
        failed=len(bad),
        left_out_s=within(last, out_s, of=fault),
        first_good_s=within(good.end, 2 * 0.44 + SLACK_S, of=heal),
    )
