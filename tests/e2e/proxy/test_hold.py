"""A hold over real workers: all keep it or none does; a flip under it loses and doubles nothing."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from strangler_proxy.config import ConfigError, edit_serve
from strangler_proxy.config import Serve as ServeValue
from strangler_proxy.running.client import Refused
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
            assert (released.broken, released.held) == (None, 8)
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


def test_flip_is_refused_when_a_worker_that_kept_the_hold_has_died(bench: Bench) -> None:
    served = bench.serve(workers=2)
    name = hold(served)
    first = served.status().workers[0].pid
    os.kill(first, signal.SIGKILL)
    until(
        lambda: (
            {w.pid for w in served.status().workers}.isdisjoint({first})
            and len(served.status().workers) == 2
        ),
        "another has taken its place",
    )
    edit_serve(served.path, {"other": CANDIDATE})
    with pytest.raises(ConfigError, match="is over"):
        served.running.reload(hold=name)
    edit_serve(served.path, {"other": CONTROL})
    assert served.running.release(name).broken is not None
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("POST", "/other", "x")
    assert connection.getresponse().status == 200
    connection.close()
    assert bodies(bench, "new") == []


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
