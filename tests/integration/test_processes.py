import contextlib
import os
import socket
import sys
from pathlib import Path

import pytest

from scripts.processes import ComponentFailedError, Fleet, Program, free_ports

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
