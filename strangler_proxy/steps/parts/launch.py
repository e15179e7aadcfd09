"""Becomes a detached service: `python -P launch.py LOCK PID_FILE LOG -- COMMAND...`.

The lock is taken before anything else and kept through exec, by the service and whatever it
starts: while any of them lives, a second launch is refused with exit status 75. Who only asks
whether it runs has the lock for an instant, which is waited for. The pid file is written by the
service-to-be itself, so that no kill of the step leaves a service without one.
Run as a file, with nothing imported but the standard library: it is over within milliseconds.
"""

import fcntl
import os
import sys
import time

ALREADY_RUNNING = 75  # EX_TEMPFAIL of sysexits.h
ASKED_S = 0.5  # who asks whether the service runs takes the lock for much less


def start_time(pid: int) -> str | None:
    """When the process started, in ticks since boot; None if there is no such live process.

    With the pid it names one process, however often pids are used again (proc(5), field 22).
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def main(arguments: list[str]) -> int:
    """Detach and become the command; returns only in the parent or when refused."""
    lock_path, pid_path, log_path, separator, *command = arguments
    if separator != "--" or not command:
        return 2
    lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o644)
    if not _taken(lock):
        return ALREADY_RUNNING
    if os.fork():
        return 0
    os.setsid()
    os.set_inheritable(lock, True)
    _redirect(log_path)
    _write_pid(pid_path)
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming the command is the purpose
    except OSError as fault:
        os.write(2, f"{command[0]} cannot be started: {fault.strerror}\n".encode())
        os._exit(127)


def _taken(lock: int) -> bool:
    until = time.monotonic() + ASKED_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.005)
        else:
            return True


def _redirect(log_path: str) -> None:
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _write_pid(pid_path: str) -> None:
    beside = f"{pid_path}.new"
    with open(beside, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()} {start_time(os.getpid())}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, pid_path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
