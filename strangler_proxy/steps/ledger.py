"""The durable record of what a step has done: one JSON object a line, appended and synced.

A record that was not written whole was never acted on: an intent is synced before its act, and
an act whose result is missing is idempotent. So a torn last line is cut off when the ledger is
opened, and damage anywhere else is refused rather than guessed at.
"""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strangler_proxy.steps.state import Kind, State, after, fold

VERSION = 1


class LedgerError(ValueError):
    """A ledger that cannot be trusted; the message names the file and the line."""


class LedgerLocked(Exception):
    """Another process is running this step; the message says which, and since when."""


def utc_now() -> datetime:
    """Wall-clock time: ledgers are read by people of other machines and later days."""
    return datetime.now(UTC)


class Ledger:
    """An open ledger: its state, and the only way to change it.

    Attributes: `file`, the open descriptor; `state`, where the step stands after the last record.
    """

    def __init__(self, file: int, state: State, clock: Callable[[], datetime] = utc_now) -> None:
        self.file = file
        self._clock = clock
        self.state = state

    def record(self, kind: Kind, **content: Any) -> None:
        """Append one record; on return it is on the disk and in `state`."""
        at = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record = {"v": VERSION, "at": at, "kind": str(kind), **content}
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str)
        self.append(line.encode() + b"\n")
        self.state = after(self.state, json.loads(line))

    def append(self, line: bytes) -> None:
        """Write one whole line and wait for the disk. Raises OSError, also for a full disk."""
        written = os.write(self.file, line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes went into the ledger")
        os.fsync(self.file)


@contextmanager
def open_ledger(
    path: Path, direction: str, clock: Callable[[], datetime] = utc_now
) -> Iterator[Ledger]:
    """Hold the ledger exclusively, with a torn last line cut off.

    The lock is the kernel's: it ends with this process however that ends, and is not inherited
    by the services that a step starts. Raises LedgerLocked, LedgerError, OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Close-on-exec, as every descriptor Python opens (PEP 446): a detached service keeps nothing.
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerLocked(f"{path} is held by {_holder(path)}") from None
        _sync_folder(path.parent)
        whole, torn = split_torn(path.read_bytes())
        if torn:
            os.ftruncate(file, len(whole))
            os.fsync(file)
        ledger = Ledger(file, fold(_parse(whole, path)), clock)
        ledger.record(Kind.RUN, pid=os.getpid(), host=socket.gethostname(), direction=direction)
        yield ledger
    finally:
        os.close(file)


def read_ledger(path: Path) -> list[Mapping[str, Any]]:
    """Every whole record, oldest first; none if there is no ledger. Takes no lock.

    Raises LedgerError.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return _parse(split_torn(content)[0], path)


def running_now(path: Path) -> str | None:
    """Who holds the ledger at this moment, if anybody; asked without taking the lock (proc(5))."""
    try:
        inode = path.stat().st_ino
        held = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    locked = any(" FLOCK " in line and f":{inode} " in line for line in held)
    return _holder(path) if locked else None


def split_torn(content: bytes) -> tuple[bytes, bytes]:
    """The whole lines, and what is left of a line that a crash cut short.

    A power cut can leave the length of the last block but not its bytes: zeros are torn as well.
    """
    whole = content[: content.rfind(b"\n") + 1]
    zeros = whole.find(b"\0")
    if zeros >= 0 and not whole[zeros:].strip(b"\0\n"):
        whole = whole[: whole.rfind(b"\n", 0, zeros) + 1]
    return whole, content[len(whole) :]


def _parse(whole: bytes, path: Path) -> list[Mapping[str, Any]]:
    records = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = json.loads(line)
            version, kind = record["v"], record["kind"]
        except (ValueError, KeyError, TypeError):
            raise LedgerError(
                f"{path}:{number} is damaged; restore the file, or move it away and undo by hand"
            ) from None
        if version != VERSION or kind not in set(Kind):
            raise LedgerError(
                f"{path}:{number} was written by another version of this tool "
                f"(format {version}, record {kind!r}; this one writes format {VERSION})"
            )
        records.append(record)
    return records


def _holder(path: Path) -> str:
    """Who holds the lock, as the last run wrote it down."""
    try:
        runs = [record for record in read_ledger(path) if record["kind"] == Kind.RUN]
    except LedgerError:
        runs = []
    if not runs:
        return "a process that began this instant"
    run = runs[-1]
    return f"pid {run['pid']} on {run['host']} ({run['direction']}, since {run['at']})"


def _sync_folder(folder: Path) -> None:
    """Make the file's own entry durable (fsync(2): the folder has to be synced explicitly)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
