import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from scripts.processes import (
    ComponentFailedError,
    Fleet,
    Program,
    free_ports,
    stop_known,
    stop_services,
)
from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.parts import StartProcess
from strangler_proxy.steps.parts.launch import start_time
from strangler_proxy.steps.step import PartFailed

LISTEN = "import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"


def program(code: str, port: int, name: str = "part", **more: float) -> Program:
    command = (sys.executable, "-c", code.format(port=port))
    return Program(name, command, {"PYTHONUNBUFFERED": "1"}, port, **more)  # type: ignore[arg-type]


def test_a_taken_port_is_told_with_the_program_and_the_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Fleet(tmp_path) as fleet:
        port = taken.getsockname()[1]
        with pytest.raises(ComponentFailedError, match=f"part needs port {port}"):
            fleet.start(program(LISTEN, port))


def test_a_program_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Fleet(tmp_path) as fleet, pytest.raises(ComponentFailedError) as caught:
        fleet.start(program("raise SystemExit('no such table: posts')", port))
    assert "part ended by itself with status 1" in str(caught.value)
    assert "no such table: posts" in str(caught.value)


def test_a_program_that_never_answers_is_given_up_in_time(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Fleet(tmp_path) as fleet, pytest.raises(ComponentFailedError, match="did not answer"):
        fleet.start(program("import time; time.sleep(60)", port, start_timeout_s=0.3))


def test_leaving_the_fleet_stops_all_in_reverse_and_kills_what_will_not_end(
    tmp_path: Path,
) -> None:
    first, second = free_ports(2)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + LISTEN
    stopped: list[str] = []
    with Fleet(tmp_path) as fleet:
        one = fleet.start(program(LISTEN, first, "one"))
        two = fleet.start(program(stubborn, second, "two", stop_timeout_s=0.3))
        fleet.stop(stopped.append)
    assert stopped == ["two", "one"]
    for each in (one, two):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.process.pid, 0)
            pytest.fail(f"{each.program.name} still runs")


def test_a_death_among_running_programs_is_noticed(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Fleet(tmp_path) as fleet:
        running = fleet.start(program(LISTEN, port))
        fleet.check()
        running.process.kill()
        running.process.wait(10)
        with pytest.raises(ComponentFailedError, match="status -9"):
            fleet.check()


def test_a_process_of_an_earlier_run_is_stopped_only_if_it_is_the_same(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Fleet(tmp_path) as fleet:
        process = fleet.start(program(LISTEN, port)).process
        started = start_time(process.pid)
        assert not stop_known(process.pid, "1", 5)
        assert process.poll() is None
        assert stop_known(process.pid, started, 5)
        assert process.wait(5) == -signal.SIGTERM
        assert not stop_known(process.pid, started, 5)


def test_services_of_steps_are_stopped_by_their_pid_files(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Fleet(tmp_path) as fleet:
        process = fleet.start(program(LISTEN, port)).process
        told = f"{process.pid} {start_time(process.pid)}\n"
        (tmp_path / "image.pid").write_text(told)
        (tmp_path / "gone.pid").write_text("1 1\n")
        assert stop_services(tmp_path) == ["image"]
        assert process.wait(5) == -signal.SIGTERM


def test_stopped_services_are_known_still_and_leave_no_child_behind(tmp_path: Path) -> None:
    crash = ("sh", "-c", "sleep 60 & echo $! > child; sleep 0.3")
    for name, command in (("crashed", crash), ("image", ("sleep", "60"))):
        service = StartProcess(name, command, tmp_path, None, tmp_path)
        with contextlib.suppress(PartFailed):
            service.execute({}, RealPace())
    (tmp_path / "damaged.pid").write_text("")
    child = int((tmp_path / "child").read_text())
    assert start_time(child) is not None
    assert stop_services(tmp_path) == ["crashed", "image"]
    assert start_time(child) is None
    assert {each.stem for each in tmp_path.glob("*.pid")} == {"crashed", "damaged", "image"}
    assert stop_services(tmp_path) == []
