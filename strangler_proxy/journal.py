"""A file of records: a JSON object a line, appended and synced, held by one process at a time.

A record that was not written whole was never acted on: that is for whoever writes it to see to. So
a torn last line is cut off when the file is opened, and damage anywhere else is refused rather than
guessed at. The lock is the kernel's: it ends with its process however that ends.

What the records mean is known to the ledgers that are kept so, each in its own module.
"""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strangler_proxy.shared_files import lock_holder, sync_folder

Record = Mapping[str, Any]


class LedgerError(ValueError):
    """A ledger that cannot be trusted; the message names the file and the line."""


class LedgerLocked(Exception):
    """Another process has the ledger; the message says which, and since when."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the records of one kind of ledger are.

    `advice` says what to do with a damaged one. `doing`: what a record of kind `run` calls what its
    process is at; where there is none, whoever holds the file is `unnamed`. `complete` raises
    ValueError, KeyError or TypeError for a record of a known kind that lacks something.
    """

    version: int
    kinds: Collection[str]
    advice: str
    doing: str = "command"
    unnamed: str = "a process that began this instant"
    complete: Callable[[Record], object] = dict


@contextmanager
def open_journal(path: Path, form: Form) -> Iterator[tuple[int, list[Record]]]:
    """Hold the file exclusively: its descriptor, and its records, oldest first.

    It is made where there is none. Raises LedgerLocked, LedgerError, OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Close-on-exec, as every descriptor Python opens (PEP 446): what is started keeps no lock.
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerLocked(f"{path} is held by {_holder(path, form)}") from None
        sync_folder(path.parent)
        whole, torn = split_torn(path.read_bytes())
        if torn:
            os.ftruncate(file, len(whole))
            os.fsync(file)
        yield file, _parsed(whole, path, form)
    finally:
        os.close(file)


def read_journal(path: Path, form: Form) -> list[Record]:
    """Every whole record, oldest first; none if there is no file. Takes no lock.

    Raises LedgerError, OSError.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return _parsed(split_torn(content)[0], path, form)


def encoded(form: Form, at: datetime, kind: str, content: Mapping[str, Any]) -> bytes:
    """A record as a line; what JSON does not know is written as its `str`."""
    record = {"v": form.version, "at": stamp(at), "kind": str(kind), **content}
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.encode() + b"\n"


def append(file: int, line: bytes, *, sync: bool = True) -> None:
    """Write one whole line, and wait for the disk. Raises OSError, also for a full disk.

    Of a line that does not go in whole nothing stays, or the next one would be glued to it.
    """
    end = os.fstat(file).st_size
    written = os.write(file, line)
    if written != len(line):
        os.ftruncate(file, end)
        raise OSError(f"only {written} of {len(line)} bytes went into the ledger")
    if sync:
        os.fsync(file)


def this_process(form: Form, doing: str) -> Record:
    """What a record of kind `run` says of the process that writes it."""
    return {"pid": os.getpid(), "host": socket.gethostname(), form.doing: doing}


def running_now(path: Path, form: Form) -> str | None:
    """Who holds the file at this moment, if anybody; asked without taking the lock (proc(5))."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if lock_holder(file) is None else _holder(path, form)
    except OSError:
        return None
    finally:
        os.close(file)


def utc_now() -> datetime:
    """Wall-clock time: ledgers are read by people of other machines and later days."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """A moment as ledgers have it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def split_torn(content: bytes) -> tuple[bytes, bytes]:
    """The whole lines, and what is left of a line that a crash cut short.

    A power cut can leave the length of the last block but not its bytes: zeros are torn as well.
    """
    whole = content[: content.rfind(b"\n") + 1]
    zeros = whole.find(b"\0")
    if zeros >= 0 and not whole[zeros:].strip(b"\0\n"):
        whole = whole[: whole.rfind(b"\n", 0, zeros) + 1]
    return whole, content[len(whole) :]


def _parsed(whole: bytes, path: Path, form: Form) -> list[Record]:
    records = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = json.loads(line)
            version, kind = record["v"], record["kind"]
            known = version == form.version and kind in form.kinds
            if known:
                form.complete(record)
        except (ValueError, KeyError, TypeError):
            raise LedgerError(f"{path}:{number} is damaged; {form.advice}") from None
        if not known:
            raise LedgerError(
                f"{path}:{number} was written by another version of this tool "
                f"(format {version}, record {kind!r}; this one writes format {form.version})"
            )
        records.append(record)
    return records


def _holder(path: Path, form: Form) -> str:
    """Who holds the lock, as the last run wrote it down."""
    try:
        runs = [each for each in read_journal(path, form) if each["kind"] == "run"]
    except (LedgerError, OSError):
        runs = []
    if not runs:
        return form.unnamed
    run = runs[-1]
    return f"pid {run['pid']} on {run['host']} ({run[form.doing]}, since {run['at']})"
