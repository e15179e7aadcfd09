"""Starts, pins, measures and stops processes, by pid, on Linux.

Every process started here is stopped when its context ends, and is killed by the kernel if this
process should die first. CPU time and memory are always those of the whole tree.
"""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

STOP_GRACE_S = 5.0
_PR_SET_PDEATHSIG = 1
_CPUCLOCK_SCHED = 2


class NotReadyError(Exception):
    """A process ended, or did not answer in time, before it could be used."""


@contextmanager
def pinned(
    argv: list[str],
    cores: Collection[int],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on the given cores alone, in its own process group; stop it on leaving."""
    libc = ctypes.CDLL(None, use_errno=True)

    def settle() -> None:
        os.sched_setaffinity(0, cores)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    process = subprocess.Popen(
        argv,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=settle,
    )
    try:
        yield process
    finally:
        _stop(process)
        if process.stdout is not None:
            process.stdout.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever is left of its group."""
    try:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_GRACE_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_ready(
    process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool], within_s: float
) -> None:
    """Wait until `ready()` holds; raises NotReadyError with the end of the log."""
    deadline = time.monotonic() + within_s
    while not ready():
        if process.poll() is not None:
            raise NotReadyError(f"ended with {process.returncode} at once: {_tail(log)}")
        if time.monotonic() > deadline:
            raise NotReadyError(f"did not answer within {within_s:.0f} s: {_tail(log)}")
        time.sleep(0.02)


def _tail(log: Path) -> str:
    text = log.read_text(errors="replace").strip()
    return text[-600:] or "it printed nothing"


def free_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def tree(pid: int) -> list[int]:
    """A process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The command's name may hold anything; the parent is the second field after it.
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(after_name[1]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, ()))
    return found


def cpu_ns(pids: Collection[int]) -> int:
    """CPU time used so far by all threads, living or ended, of these processes, in nanoseconds.

    Reads each process's CPU clock (clock_getcpuclockid(3)), which the scheduler keeps exactly;
    utime and stime in /proc count in ticks of 10 ms. Raises OSError when a process has gone.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) for pid in pids)


def pss_bytes(pids: Collection[int]) -> int:
    """Memory in use: resident pages, a shared one counted by the share of each process."""
    return sum(_kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") for pid in pids) * 1024


def peak_rss_bytes(pids: Collection[int]) -> int:
    """Every process's highest resident size since its start, added up; shared pages count twice."""
    return sum(_kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:") for pid in pids) * 1024


def _kilobytes(file: Path, field: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise ValueError(f"{file} has no {field}")


def core_busy_s(core: int) -> float:
    """Seconds that a core has spent on anything but idling, since boot (ticks of 10 ms)."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            busy = user + nice + system + irq + softirq + steal
            return busy / os.sysconf("SC_CLK_TCK")
    raise ValueError(f"no core {core} in /proc/stat")
