"""`strangler serve` as its users run it: workers, reloads and flips under load, signals."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from contextlib import ExitStack

import pytest

from strangler_proxy.config import ConfigError
from strangler_proxy.running import ProxyUnreachable, flip
from tests.e2e.proxy.conftest import Bench, Served, strangler
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until
from tests.wire_tools.stream import Broken, Ended
from tests.wire_tools.upstream import Peer


class Load:
    """Clients that ask without a pause, GET and POST in turn, and keep what went wrong."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.port = port
        self.answered = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                with Client(self.port) as client:
                    for _ in range(50):
                        if self._stop.is_set():
                            return
                        self._one(client)
            except Exception as fault:  # noqa: BLE001 - every kind of failure counts
                self.failures.append(repr(fault))

    def _one(self, client: Client) -> None:
        number = next(self._numbers)
        method = "POST" if number % 2 else "GET"
        body = b"%d" % number if number % 2 else None
        client.request(method, f"/moving?{number}", body=body)
        answer = client.answer()
        said = answer.json() if answer.status == 200 else {}
        if said.get("target") != f"/moving?{number}" or said["body"] != (body or b"").decode():
            self.failures.append(f"{answer.status} {answer.body!r}")
        self.answered += 1

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_hundred_flips_and_reloads_under_load_fail_no_request(bench: Bench) -> None:
    served = bench.serve()
    sides: list[object] = ["candidate", "control", 50, 5]
    with Load(served.port) as load:
        for number in range(100):
            if number % 4 == 3:
                # A new limit of an upstream replaces its pool while requests are in it.
                text = served.path.read_text()
                line = next(line for line in text.splitlines() if line.startswith("  old:"))
                url = bench.old.url
                changed = f"  old: {{url: '{url}', max_connections: {100 + number}}}"
                served.path.write_text(text.replace(line, changed))
                served.running.reload()
            else:
                flip(served.path, ["moving", "other"], sides[number % 4])  # type: ignore[arg-type]
            assert not load.failures, load.failures[:3]
    assert load.failures == []
    assert load.answered > 500
    assert bench.old.requests
    assert bench.new.requests
    text = served.path.read_text()
    assert all(
        word in text for word in ("# any free port", "# the one that moves", "# who answers")
    )
    counts = served.running.counts()["moving"]
    assert sum(side.requests for side in counts.values()) == load.answered
    assert sum(side.failures for side in counts.values()) == 0


def test_flip_returns_when_every_worker_serves_the_new_table(bench: Bench) -> None:
    served = bench.serve()
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(served.port)) for _ in range(12)]
        for client in clients:
            assert client.ask("/moving").status == 200
        assert all(worker.connections for worker in served.status().workers)
        for number in range(20):
            side = "candidate" if number % 2 == 0 else "control"
            before = (len(bench.old.requests), len(bench.new.requests))
            flip(served.path, ["moving"], side)
            for client in clients:
                assert client.ask("/moving").status == 200
            asked = (len(bench.old.requests) - before[0], len(bench.new.requests) - before[1])
            assert asked == ((0, 12) if side == "candidate" else (12, 0))
    assert {worker.generation for worker in served.status().workers} == {21}


def test_changed_file_is_noticed_and_a_bad_one_is_refused_whole(bench: Bench) -> None:
    served = bench.serve()
    good = served.path.read_text()
    with Client(served.port) as client:
        served.path.write_text(good.replace("serve: control", "serve: candidate"))
        until(lambda: served.status().generation == 2, "the file is taken over")
        assert client.ask("/moving").status == 200
        assert len(bench.new.requests) == 1
        served.path.write_text(
            good.replace("control: old", "control: odl") + "    sevre: control\n"
        )
        with pytest.raises(ConfigError) as refused:
            served.running.reload()
        assert [problem.line for problem in refused.value.problems] == [10, 15, 17]
        until(lambda: "strangler.yaml:17" in served.log.read_text(), "the watch refuses it too")
        assert client.ask("/moving").status == 200
        assert len(bench.new.requests) == 2
    assert served.status().generation == 2
    served.path.write_text(good)
    until(lambda: served.status().generation == 3, "the good file is taken over")


def test_what_cannot_change_while_running_is_refused(bench: Bench) -> None:
    served = bench.serve(workers=1)
    served.path.write_text(bench.text(listen="127.0.0.1:1"))
    with pytest.raises(ConfigError, match="listen"):
        served.running.reload()
    assert served.status().generation == 1


def test_flip_that_the_proxy_refuses_leaves_the_file_as_it_was(bench: Bench) -> None:
    served = bench.serve(workers=1)
    text = bench.text(listen="127.0.0.1:1")
    served.path.write_text(text)
    with pytest.raises(ConfigError, match="listen"):
        flip(served.path, ["moving"], "candidate")
    assert served.path.read_text() == text


def test_flips_at_the_same_time_are_all_kept(bench: Bench) -> None:
    served = bench.serve()
    commands = [
        threading.Thread(target=flip, args=(served.path, [name], side))
        for name, side in (("moving", 25), ("other", "candidate"), ("moving", 25))
    ]
    for command in commands:
        command.start()
    for command in commands:
        command.join()
    text = served.path.read_text()
    assert "serve: {candidate_percent: 25, sticky: client}" in text
    assert "serve: candidate" in text
    assert len({worker.generation for worker in served.status().workers}) == 1
    with Client(served.port) as client:
        client.ask("/other")
    assert bench.new.targets == ["/other"]


def test_commands_tell_what_they_did_and_what_is_wrong(bench: Bench) -> None:
    served = bench.serve()
    path = str(served.path)
    done = strangler("flip", "moving", "--to", "5%", "-c", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "moving" in done.stdout
    assert "5%" in done.stdout
    unknown = strangler("flip", "nowhere", "--to", "candidate", "-c", path)
    assert unknown.returncode == 2
    assert "nowhere" in unknown.stderr
    second = strangler("serve", "-c", path)
    assert second.returncode == 1
    assert "serves" in second.stderr
    other = bench.folder / "other.yaml"
    other.write_text(bench.text(listen=f"127.0.0.1:{served.port}"))
    taken = strangler("serve", "-c", str(other))
    assert taken.returncode == 1
    assert str(served.port) in taken.stderr
    assert "Traceback" not in second.stderr + taken.stderr
    nobody = strangler("flip", "moving", "--to", "candidate", "-c", str(other))
    assert nobody.returncode == 3
    assert "serve: control" in other.read_text()
    with pytest.raises(ProxyUnreachable):
        flip(other, ["moving"], "candidate")


def test_drained_address_stands_in_the_audit_file_however_it_was_spelt(bench: Bench) -> None:
    far = "  far: {url: 'http://127.0.0.1:3003'}\ndefault: old\n"
    served = bench.serve(workers=1, text=bench.text().replace("default: old\n", far))
    served.running.drain_address("far", "127.0.0.1:03003", draining=True)
    served.running.drain_address("far", "127.0.0.1:3003", draining=False)
    told = strangler("audit", "-c", str(served.path), "--json")
    what = "upstreams.far.addresses.127.0.0.1:3003.draining"
    changes = [(row["what"], row["from"], row["to"]) for row in json.loads(told.stdout)]
    assert changes == [(what, False, True), (what, True, False)]


def test_killed_worker_is_replaced_while_the_others_serve(bench: Bench) -> None:
    served = bench.serve()
    flip(served.path, ["moving"], "candidate")
    before = {worker.pid for worker in served.status().workers}
    victim, survivor = sorted(before)
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(served.port)) for _ in range(8)]
        for client in clients:
            assert client.ask("/moving").status == 200
        asked = served.running.counts()["moving"]["new"].requests
        os.kill(victim, signal.SIGKILL)
        alive = 0
        for client in clients:
            try:
                alive += client.ask("/moving").status == 200
            except (Broken, Ended, OSError):
                continue
        assert 0 < alive < 8
        until(
            lambda: workers(served) - before and survivor in workers(served), "it is replaced", 15
        )
        for _ in range(20):
            client = stack.enter_context(Client(served.port))
            assert client.ask("/moving").status == 200
    assert bench.old.requests == []
    assert served.running.counts()["moving"]["new"].requests == asked + alive + 20
    assert {worker.generation for worker in served.status().workers} == {2}


def workers(served: Served) -> set[int]:
    return {worker.pid for worker in served.status().workers}


def test_sigterm_under_load_finishes_every_request_that_was_taken(bench: Bench) -> None:
    gate = threading.Event()

    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            assert gate.wait(10)
            peer.echo(request)

    bench.old.script = script
    served = bench.serve()
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(served.port)) for _ in range(10)]
        idle = [stack.enter_context(Client(served.port)) for _ in range(10)]
        until(lambda: all(w.connections > 2 for w in served.status().workers), "both have some")
        for number, client in enumerate(clients):
            client.request("POST", f"/{number}", body=b"x")
        until(lambda: len(bench.old.requests) == 10, "all are in flight")
        served.process.send_signal(signal.SIGTERM)
        assert all(client.ended() for client in idle)
        gate.set()
        for number, client in enumerate(clients):
            answer = client.answer()
            assert answer.json()["target"] == f"/{number}"
            assert answer.header("Connection") == b"close"
            assert client.ended()
    served.stop()


def test_workers_end_when_the_supervisor_is_killed(bench: Bench) -> None:
    served = bench.serve()
    pids = workers(served)
    served.kill()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "the workers end", 15)
    again = bench.serve()
    with Client(again.port) as client:
        assert client.ask("/").status == 200
    again.stop()
