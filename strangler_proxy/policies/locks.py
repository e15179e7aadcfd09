"""Locks between processes on single bytes of a file, with a bound on the wait.

They are the kernel's record locks (fcntl(2)): they belong to a process and end with it, so that
one killed while holding a lock stops nobody. One that is merely stopped (SIGSTOP, a debugger, a
frozen container) does keep its lock: the others wait for it once, then go on without, see `take`.
"""

import fcntl
import time

_WAIT_S = 0.25
_PAUSE_S = 50e-6
_DOUBT_S = 5.0


class ByteLocks:
    """The locks of one file for one process, whose threads must not share them.

    `missed`: how often a lock was not to be had in time.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._no_wait_until = 0.0
        self.missed = 0

    def take(self, byte: int, wait_s: float = _WAIT_S) -> bool:
        """Take the lock on a byte; False when another process has kept it for too long.

        After such a wait nothing is waited for during 5 s: a stopped worker may cost the others a
        quarter of a second now and then, but not every request.
        """
        return self._tried(byte) or self._waited(byte, wait_s)

    def release(self, byte: int) -> None:
        """Give a lock back; does nothing where it is not held."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)

    def _tried(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as POSIX leaves open
            return False
        return True

    def _waited(self, byte: int, wait_s: float) -> bool:
        now = time.monotonic()
        deadline = now if now < self._no_wait_until else now + wait_s
        while time.monotonic() < deadline:
            # What the lock protects takes microseconds; this also lets its holder run.
            time.sleep(_PAUSE_S)
            if self._tried(byte):
                return True
        if deadline > now:
            self._no_wait_until = time.monotonic() + _DOUBT_S
        self.missed += 1
        return False
