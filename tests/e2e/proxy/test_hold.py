"""A hold over real workers: all keep it or none does; a flip under it loses and doubles nothing."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from strangler_proxy.config import ConfigError, edit_serve
from strangler_proxy.config import Serve as ServeValue
from strangler_proxy.running.client import ProxyUnreachable, Refused
from tests.e2e.proxy.conftest import Bench, Served
from tests.wire_tools.proxy import until

CANDIDATE, CONTROL = ServeValue(candidate_percent=100), ServeValue(candidate_percent=0)


class Writers:
    """Clients that post to /other, each write with an id of its own, until told to stop."""

    def __init__(self, served: Served, number: int = 8) -> None:
        self.acknowledged: list[str] = []
        self.wrong: list[str] = []
        self._served = served
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(number)]

    def _write(self, writer: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            name = f"w{writer}-{number}"
            connection = http.client.HTTPConnection("127.0.0.1", self._served.port, timeout=20)
            try:
                connection.request("POST", "/other", name)
                answer = connection.getresponse()
                answer.read()
                (self.acknowledged if answer.status == 200 else self.wrong).append(name)
            except (OSError, http.client.HTTPException) as fault:
                self.wrong.append(f"{name}: {fault!r}")
            finally:
                connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)


def hold(served: Served, seconds: float = 10.0, drain_s: float = 5.0, **bounds: int) -> str:
    return served.running.hold(["other"], seconds=seconds, drain_s=drain_s, **bounds)


def bodies(bench: Bench, side: str) -> list[str]:
    upstream = {"old": bench.old, "new": bench.new}[side]
    return [request.body.decode() for request in upstream.requests]


def test_flips_under_a_hold_send_each_write_to_one_side_and_never_to_both_at_once(
    bench: Bench,
) -> None:
    served = bench.serve(workers=2)
    writers = Writers(served)
    sides = [("new", CANDIDATE), ("old", CONTROL)] * 5
    with writers.writing():
        for to, serve in sides:
            before = len(writers.acknowledged)
            until(lambda: len(writers.acknowledged) > before + 20, "writes go on")  # noqa: B023
            name = hold(served)
            seen = {side: len(bodies(bench, side)) for side in ("old", "new")}
            until(lambda: _parked(served) >= 8, "every writer waits")
            assert {side: len(bodies(bench, side)) for side in ("old", "new")} == seen
            edit_serve(served.path, {"other": serve})
            served.running.reload(hold=name)
            assert {side: len(bodies(bench, side)) for side in ("old", "new")} == seen
            released = served.running.release(name)
            assert released.broken is None
            # A writer that one worker has let go may be held again by the one told after it.
            assert 8 <= released.held <= 16
            other = "old" if to == "new" else "new"
            until(lambda: len(bodies(bench, to)) > seen[to] + 8, "the new side has them")  # noqa: B023
            assert len(bodies(bench, other)) == seen[other]
    assert writers.wrong == []
    carried_out = bodies(bench, "old") + bodies(bench, "new")
    assert sorted(carried_out) == sorted(writers.acknowledged)


def _parked(served: Served) -> int:
    """Requests in flight that no upstream has: a hold has them."""
    status = served.status()
    return sum(worker.connections for worker in status.workers)


def test_hold_is_refused_everywhere_when_what_was_sent_before_takes_too_long(bench: Bench) -> None:
    let_go = threading.Event()
    bench.old.script = lambda peer: (peer.request(), let_go.wait(20), peer.answer(b"late"))  # type: ignore[assignment]
    served = bench.serve(workers=2)
    slow = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    slow.request("POST", "/other", "slow")
    until(lambda: bench.old.requests, "it has been sent")
    with pytest.raises(Refused, match=r"not answered within 0\.1 s"):
        hold(served, drain_s=0.1)
    let_go.set()
    assert slow.getresponse().read() == b"late"
    slow.close()
    assert served.running.release(hold(served)).broken is None  # nothing was left behind


def test_flip_is_refused_once_the_hold_has_ended_by_itself(bench: Bench) -> None:
    served = bench.serve(workers=2)
    name = hold(served, seconds=0.2)
    until(lambda: "is broken" in served.log.read_text(), "the hold has ended")
    edit_serve(served.path, {"other": CANDIDATE})
    with pytest.raises(ConfigError, match="is over"):
        served.running.reload(hold=name)
    edit_serve(served.path, {"other": CONTROL})
    assert served.running.release(name).broken is not None


def test_flip_under_a_hold_waits_for_no_registry(bench: Bench) -> None:
    found = "  found: {consul: {service: x}}\ndefault: old\nconsul: {url: 'http://127.0.0.1:9'}\n"
    served = bench.serve(workers=2, text=bench.text().replace("default: old\n", found))
    name = hold(served, seconds=2.0)
    # A source that is new under the hold, and does not answer either.
    served.path.write_text(served.path.read_text().replace("service: x", "service: y"))
    assert served.running.reload(hold=name) == 2
    assert served.running.release(name).broken is None


class Client:
    """A connection with one request under way."""

    def __init__(self, served: Served, body: str, route: str = "/other") -> None:
        self.body = body
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        self._connection.request("POST", route, body)

    def answer(self) -> int | None:
        """Its status; None when it was broken off."""
        try:
            return self._connection.getresponse().status
        except (http.client.HTTPException, ConnectionError):
            return None
        finally:
            self._connection.close()


def replaced(served: Served, pid: int) -> None:
    def is_replaced() -> bool:
        pids = {worker.pid for worker in served.status().workers}
        return len(pids) == 2 and pid not in pids

    until(is_replaced, "another has taken its place", 30.0)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that does not run, and goes on at the end."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_successor_of_a_worker_that_dies_under_a_hold_holds_on(bench: Bench) -> None:
    served = bench.serve(workers=2)
    name = hold(served, seconds=30)
    early = [Client(served, f"early {number}") for number in range(16)]
    until(lambda: _parked(served) >= 16, "all are parked")
    victim = max(served.status().workers, key=lambda worker: worker.connections)
    os.kill(victim.pid, signal.SIGKILL)
    replaced(served, victim.pid)
    late = [Client(served, f"late {number}") for number in range(16)]
    until(lambda: _parked(served) >= 16 - victim.connections + 16, "all are parked again")
    assert (bodies(bench, "old"), bodies(bench, "new")) == ([], [])
    edit_serve(served.path, {"other": CANDIDATE})
    served.running.reload(hold=name)
    assert (bodies(bench, "old"), bodies(bench, "new")) == ([], [])
    released = served.running.release(name)
    answers = {client.body: client.answer() for client in (*early, *late)}
    broken_off = sorted(body for body, status in answers.items() if status is None)
    assert len(broken_off) == victim.connections
    assert all(body.startswith("early") for body in broken_off)
    assert set(answers.values()) == {200, None}
    assert released.held == 32 - victim.connections
    assert f"worker {victim.pid} died under it" in str(released.broken)
    assert bodies(bench, "old") == []
    assert sorted(bodies(bench, "new")) == sorted(answers.keys() - set(broken_off))


def test_hold_of_a_successor_runs_out_with_that_of_the_others(bench: Bench) -> None:
    served = bench.serve(workers=2)
    began = time.monotonic()
    hold(served, seconds=8)
    victim = served.status().workers[0].pid
    os.kill(victim, signal.SIGKILL)
    replaced(served, victim)
    clients = [Client(served, str(number)) for number in range(16)]
    assert [client.answer() for client in clients] == [200] * 16
    assert time.monotonic() - began < 15  # anew it would have lasted for 8 s from the replacement
    assert served.log.read_text().count("was not ended within") == 2


def test_hold_is_refused_everywhere_when_a_worker_dies_while_it_is_being_got(
    bench: Bench,
) -> None:
    let_go = threading.Event()
    bench.old.script = lambda peer: (peer.request(), let_go.wait(30), peer.answer(b"late"))  # type: ignore[assignment]
    served = bench.serve(workers=2)
    before = [Client(served, str(number)) for number in range(16)]
    until(lambda: len(bench.old.requests) == 16, "all have been sent")
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit(hold, served, 30, 20)
        audit = served.path.parent / ".strangler/audit.jsonl"
        until(lambda: audit.exists() and '"held"' in audit.read_text(), "it is being got")
        os.kill(served.status().workers[0].pid, signal.SIGKILL)
        let_go.set()
        with pytest.raises(Refused, match="a worker has died"):
            got.result(30)
    assert {client.answer() for client in before} == {200, None}
    assert Client(served, "after").answer() == 200  # nothing is held


def test_stopped_worker_refuses_the_hold_for_all_and_holds_nothing_when_it_goes_on(
    bench: Bench,
) -> None:
    served = bench.serve(workers=2)
    with stopped(served.status().workers[0].pid):
        with pytest.raises(Refused, match="a worker is silent"):
            hold(served, seconds=30, drain_s=0.2)
        clients = [Client(served, str(number)) for number in range(16)]
        until(lambda: bodies(bench, "old"), "the other worker holds nothing")
    assert [client.answer() for client in clients] == [200] * 16
    assert served.running.release(hold(served)).broken is None


def test_stopped_supervisor_is_given_up_in_time_and_its_late_hold_ends_at_once(
    bench: Bench,
) -> None:
    served = bench.serve(workers=2)
    with stopped(served.process.pid):
        began = time.monotonic()
        with pytest.raises(ProxyUnreachable, match="did not answer in time"):
            hold(served, seconds=30, drain_s=0.2)
        assert time.monotonic() - began < 10  # and not the 30 s of other questions
        assert Client(served, "meanwhile").answer() == 200
    until(lambda: _is_held_and_released(served), "nothing is left of it", 15.0)
    assert Client(served, "after").answer() == 200


def _is_held_and_released(served: Served) -> bool:
    try:
        return served.running.release(hold(served)).broken is None
    except (Refused, ProxyUnreachable):
        return False


def test_worker_that_is_stopped_at_the_flip_keeps_all_at_the_old_side(bench: Bench) -> None:
    served = bench.serve(workers=2)
    name = hold(served, seconds=6)
    clients = [Client(served, str(number)) for number in range(16)]
    until(lambda: _parked(served) >= 16, "all are parked")
    with stopped(served.status().workers[1].pid):
        edit_serve(served.path, {"other": CANDIDATE})
        with pytest.raises(ConfigError, match="did not confirm in time"):
            served.running.reload(hold=name)
        edit_serve(served.path, {"other": CONTROL})
    served.running.release(name)
    assert [client.answer() for client in clients] == [200] * 16
    assert len(bodies(bench, "old")) == 16
    assert bodies(bench, "new") == []


def test_beyond_its_bounds_a_hold_answers_503_and_keeps_what_it_has(bench: Bench) -> None:
    served = bench.serve(workers=1)
    name = hold(served, most_requests=2)
    clients = [Client(served, "first"), Client(served, "second")]
    until(lambda: _parked(served) >= 2, "they are parked")
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("POST", "/other", "third")
    refused = connection.getresponse()
    assert refused.status == 503
    assert 0 < int(refused.headers["Retry-After"]) <= 10
    assert b"requests are held for a moment: more than 2 requests came" in refused.read()
    connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("GET", "/moving")  # another route is not held
    assert connection.getresponse().status == 200
    connection.close()
    assert served.running.release(name).held == 2
    assert [client.answer() for client in clients] == [200, 200]
    assert sorted(body for body in bodies(bench, "old") if body) == ["first", "second"]


def test_unknown_route_and_second_hold_are_refused_with_a_sentence(bench: Bench) -> None:
    served = bench.serve(workers=2)
    with pytest.raises(Refused, match="no route 'nowhere'"):
        served.running.hold(["nowhere"], seconds=1, drain_s=1)
    name = hold(served)
    with pytest.raises(Refused, match="is in force"):
        hold(served)
    assert served.running.release(name).broken is None


def test_holds_stand_in_the_audit_file(bench: Bench) -> None:
    served = bench.serve(workers=1)
    name = hold(served)
    served.running.release(name)
    lines = (served.path.parent / ".strangler/audit.jsonl").read_text().splitlines()
    assert [line.count(name) for line in lines if '"held"' in line] == [1, 1]


def test_hold_lasts_little_longer_than_what_is_done_under_it(bench: Bench) -> None:
    served = bench.serve(workers=2)
    with Writers(served, 4).writing():
        taken = []
        for _ in range(5):
            started = time.monotonic()
            released = served.running.release(hold(served))
            taken.append(time.monotonic() - started)
            assert released.lasted_s <= taken[-1]
    assert min(taken) < 1.0
