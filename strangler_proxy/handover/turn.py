"""Whose turn a move is: a running `start` stands aside for the command that takes the turn.

The turn is a lock of the kernel's on a file beside the ledger, which ends with its process however
that ends. `start` looks at it between two steps; whoever took it then waits for the ledger, which
`start` lets go of, and gives the turn back when its command is done. It orders the programs of one
machine; that nobody moves the tables beside another is for the claims (claiming.py).
"""

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Event

from strangler_proxy.handover.ledger import (
    Ledger,
    LedgerLocked,
    open_ledger,
    stamp,
    utc_now,
)

ASIDE_S = 30.0
"""How long a mover may take to stand aside: its longest step, and more."""
_TAKEN_S = 0.5  # a mover that looks at the lock has it for a moment
_BETWEEN_S = 0.02


def turn_path(ledger: Path) -> Path:
    """The turn's file, beside the move's ledger."""
    return ledger.with_name(ledger.name.removesuffix(".move.jsonl") + ".turn")


class Turn:
    """The turn of one move, as `start` sees it."""

    def __init__(self, ledger: Path) -> None:
        self._path = turn_path(ledger)

    def taken(self) -> bool:
        """Whether somebody has it now. Some microseconds."""
        try:
            file = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def holder(self) -> str:
        """Who has it, as they wrote it down."""
        with suppress(OSError, UnicodeDecodeError):
            if told := self._path.read_text(encoding="utf-8").strip():
                return told
        return "a process that began this instant"

    def wait(self, stop: Event) -> None:
        """Until it is free, or `stop` is set."""
        while self.taken() and not stop.is_set():
            stop.wait(0.1)


def refuse_taken(ledger: Path) -> None:
    """LedgerLocked while another command has the turn."""
    turn = Turn(ledger)
    if turn.taken():
        raise LedgerLocked(f"{turn_path(ledger)} is held by {turn.holder()}")


@contextmanager
def take_turn(
    ledger: Path,
    command: str,
    aside_s: float = ASIDE_S,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
    now: Callable[[], datetime] = utc_now,
) -> Iterator[Ledger]:
    """Have the turn and the ledger, once a running `start` has stood aside.

    Raises LedgerLocked when another command has either, LedgerError, OSError, and what `pause`
    raises.
    """
    path = turn_path(ledger)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(file, ledger, clock, pause)
        who = f"pid {os.getpid()} on {socket.gethostname()} ({command}, since {stamp(now())})\n"
        os.ftruncate(file, 0)
        os.pwrite(file, who.encode(), 0)
        with ExitStack() as stack:
            deadline = clock() + aside_s
            while (held := _held(stack, ledger, command, clock() >= deadline)) is None:
                pause(_BETWEEN_S)
            yield held
    finally:
        os.close(file)


def _held(stack: ExitStack, ledger: Path, command: str, last: bool) -> Ledger | None:
    try:
        return stack.enter_context(open_ledger(ledger, command))
    except LedgerLocked:
        if last:
            raise
    return None


def _take(
    file: int, ledger: Path, clock: Callable[[], float], pause: Callable[[float], object]
) -> None:
    deadline = clock() + _TAKEN_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock() >= deadline:
                raise LedgerLocked(
                    f"{turn_path(ledger)} is held by {Turn(ledger).holder()}"
                ) from None
        pause(_BETWEEN_S)
