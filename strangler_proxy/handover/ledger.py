"""What a move has done, as one file beside its moves.yaml: a JSON object a line, each synced.

A record is written after what it tells of, except `begun` and `removing`, which come before: what
follows those may be half done, and is safe to do again. The rows' own progress stands at the
target, in the transactions that move them. So a torn last line is cut off when the ledger is
opened, and damage anywhere else is refused rather than guessed at.

The mover holds the file by a lock of the kernel's, which ends with it however that ends.
"""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strangler_proxy.handover.standing import RecordKind, Standing, standing

VERSION = 1
Record = Mapping[str, Any]


class LedgerError(ValueError):
    """A ledger that cannot be trusted; the message names the file and the line."""


class LedgerLocked(Exception):
    """Another process is at work on this move; the message says which, and since when."""


def ledger_path(moves: Path, move: str) -> Path:
    """Where the ledger of a move of this file is."""
    return moves.resolve().parent / ".strangler" / f"{move}.move.jsonl"


def utc_now() -> datetime:
    """Wall-clock time: ledgers are read by people of other machines and later days."""
    return datetime.now(UTC)


class Ledger:
    """An open ledger: `standing` after its last record, and the only way to add one."""

    def __init__(
        self, path: Path, file: int, records: Sequence[Record], clock: Callable[[], datetime]
    ) -> None:
        self.path = path
        self._file = file
        self._records = list(records)
        self._clock = clock

    @property
    def standing(self) -> Standing:
        """Where the move stands."""
        return standing(self._records)

    def record(self, kind: RecordKind, **content: Any) -> None:
        """Append one record; on return it is on the disk. Raises OSError, also for a full disk."""
        at = stamp(self._clock())
        record = {"v": VERSION, "at": at, "kind": str(kind), **content}
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        written = os.write(self._file, line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes went into {self.path}")
        os.fsync(self._file)
        self._records.append(record)


@contextmanager
def open_ledger(
    path: Path, command: str, clock: Callable[[], datetime] = utc_now
) -> Iterator[Ledger]:
    """Hold the move's ledger exclusively, and enter that this process runs `command`.

    Raises LedgerLocked, LedgerError, OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Close-on-exec, as every descriptor that Python opens (PEP 446).
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
        ledger = Ledger(path, file, _parsed(whole, path), clock)
        ledger.record(RecordKind.RUN, pid=os.getpid(), host=socket.gethostname(), command=command)
        yield ledger
    finally:
        os.close(file)


def read_ledger(path: Path) -> list[Record]:
    """Every whole record, oldest first; none if there is no ledger. Takes no lock.

    Raises LedgerError, OSError.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return _parsed(split_torn(content)[0], path)


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


def keep_verified(path: Path, told: Record) -> None:
    """Keep the outcome of a verification beside the ledger at `path`, in place of the last one.

    A file of its own, since a move may be verified while its mover holds the ledger.
    """
    where = _verified_path(path)
    where.parent.mkdir(parents=True, exist_ok=True)
    made = where.with_name(f"{where.name}.{os.getpid()}")
    with made.open("w", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    made.replace(where)


def last_verified(path: Path) -> Record | None:
    """The outcome that was kept last, if there is one that can be read."""
    with suppress(OSError, ValueError):
        told = json.loads(_verified_path(path).read_bytes())
        return told if isinstance(told, dict) else None
    return None


def stamp(moment: datetime) -> str:
    """A moment as ledgers have it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _verified_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".move.jsonl") + ".verified.json")


def _parsed(whole: bytes, path: Path) -> list[Record]:
    records = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = json.loads(line)
            version, kind = record["v"], record["kind"]
        except (ValueError, KeyError, TypeError):
            raise LedgerError(
                f"{path}:{number} is damaged; restore the file, or move it away and run "
                "`strangler data remove`"
            ) from None
        if version != VERSION or kind not in set(RecordKind):
            raise LedgerError(
                f"{path}:{number} was written by another version of this tool "
                f"(format {version}, record {kind!r}; this one writes format {VERSION})"
            )
        records.append(record)
    return records


def _holder(path: Path) -> str:
    """Who holds the lock, as the last run wrote it down."""
    try:
        runs = [each for each in read_ledger(path) if each["kind"] == RecordKind.RUN]
    except (LedgerError, OSError):
        runs = []
    if not runs:
        return "a process that began this instant"
    run = runs[-1]
    return f"pid {run['pid']} on {run['host']} ({run['command']}, since {run['at']})"


def _sync_folder(folder: Path) -> None:
    """Make the file's own entry durable (fsync(2): the folder has to be synced explicitly)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
