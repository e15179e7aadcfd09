"""Retries are bounded: by a budget, by the breaker, by the time of the whole, by the client."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.integration.wire.conftest import Bench
from tests.integration.wire.retrying import BAD, before, busy, retries
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer


def together(bench: Bench, number: int) -> list[Client]:
    """Clients that ask at the same time."""
    clients = [bench.client() for _ in range(number)]
    for at, client in enumerate(clients):
        client.get(f"/{at}")
    return clients


def refusing_all_at_once(number: int) -> Callable[[Peer], None]:
    """A script that answers none before it has all."""
    everybody = threading.Barrier(number)

    def script(peer: Peer) -> None:
        while True:
            peer.request()
            if peer.number < number:
                everybody.wait(10)
            peer.send(BAD)

    return script


def test_budget_bounds_the_retries_of_requests_that_fail_together(bench: Bench) -> None:
    pausing = {"most": 1, "backoff_s": 0.5}
    before(bench, refusing_all_at_once(30), pausing, settings={"retry_percent": 0})
    for client in together(bench, 30):
        assert client.answer().status == 503
    events = bench.proxy.plane.events
    assert (retries(bench), events["retry-refused", "monolith", ""]) == (3, 27)
    assert bench.proxy.call(lambda: bench.proxy.plane.pools["monolith"].retrying) == 0


def test_budget_grows_with_the_requests_in_flight(bench: Bench) -> None:
    pausing = {"most": 1, "backoff_s": 0.5}
    before(bench, refusing_all_at_once(30), pausing, settings={"retry_percent": 40})
    for client in together(bench, 30):
        assert client.answer().status == 503
    assert 3 < retries(bench) <= 12


def test_budget_is_given_back_however_a_retry_ends(bench: Bench) -> None:
    before(bench, busy(1), {"most": 1, "backoff_s": 60, "longest_s": 60})
    pool = bench.proxy.plane.pools["monolith"]
    clients = [bench.client() for _ in range(3)]
    for number, client in enumerate(clients, 1):
        client.get(f"/{number}")
        until(lambda: bench.proxy.call(lambda: pool.retrying) == number, "it pauses")  # noqa: B023
    for client in clients:
        client.reset()
    until(lambda: bench.proxy.call(lambda: pool.retrying) == 0, "they are gone")


def test_client_that_leaves_during_the_pause_is_not_sent_on(bench: Bench) -> None:
    upstream = before(bench, busy(1), {"most": 1, "backoff_s": 0.2})
    client = bench.client()
    client.get("/left")
    until(lambda: retries(bench), "it pauses")
    client.reset()
    other = bench.client()
    assert other.ask("/other").status == 200  # its own pause is as long, and began later
    assert upstream.targets == ["/left", "/other", "/other"]


def test_no_retry_is_sent_while_the_breaker_is_open(bench: Bench) -> None:
    """It opened in the pause, by the failures of others."""
    retry = {"most": 1, "backoff_s": 0.4}
    upstream = before(bench, busy(10**6), retry, settings={"breaker": {"failures": 3}})
    clients = [bench.client() for _ in range(3)]
    for number, client in enumerate(clients):
        client.get(f"/{number}")
        until(lambda: len(upstream.requests) == number + 1, "it has failed")  # noqa: B023
    answers = [client.answer() for client in clients]
    assert [answer.status for answer in answers] == [503] * 3
    # The last answer opened it, and is passed on; the others come back from their pause.
    assert answers[2].body == b"busy"
    assert all("not asked again" in answer.json()["detail"] for answer in answers[:2])
    assert all(int(answer.header("Retry-After") or 0) > 50 for answer in answers[:2])
    assert len(upstream.requests) == 3


def test_failed_probe_is_not_repeated(bench: Bench) -> None:
    retry = {"most": 3, "backoff_s": 0.001}
    upstream = before(bench, busy(10**6), retry, settings={"breaker": {"failures": 1}})
    client = bench.client()
    assert client.ask("/x").status == 503
    bench.proxy.pass_time(61)
    assert client.ask("/x").body == b"busy"
    assert len(upstream.requests) == 2
    assert client.ask("/x").json()["status"] == 503


def test_total_time_bounds_all_tries_together(bench: Bench) -> None:
    retry = {"most": 10, "backoff_s": 60, "longest_s": 60}
    before(bench, busy(10**6), retry, total_s=90)
    client = bench.client()
    client.get("/x")
    until(lambda: retries(bench), "it pauses")
    bench.proxy.pass_time(89)
    bench.proxy.pass_time(2)
    answer = client.answer()
    assert (answer.status, "90 s" in answer.json()["detail"]) == (504, True)
    assert bench.proxy.call(lambda: bench.proxy.plane.pools["monolith"].retrying) == 0
