"""Files that several processes read and change: one writer at a time, and who has a lock.

A reader sees the old text or the new one, never a half. Every wait is bounded.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCKED_WITHIN_S = 5.0
_POLL_S = 0.01


@contextmanager
def folder_locked(folder: Path, within_s: float = LOCKED_WITHIN_S) -> Iterator[None]:
    """Changes to the folder's files go one after the other; they are replaced, so it is locked.

    Raises TimeoutError, which says who has it, when it is not free within that time; OSError.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        until = time.monotonic() + within_s
        while not _taken(handle):
            if time.monotonic() >= until:
                told = f"{folder} is locked by {_holder_of(handle)}, for more than {within_s:.2g} s"
                raise TimeoutError(told)
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def replace_text(path: Path, text: str) -> None:
    """Put a whole new text in the place of the file, durably; its mode is kept. Raises OSError."""
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make its entries durable (fsync(2): a folder has to be synced explicitly)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock_holder(file: int) -> int | None:
    """Who has an open file flocked: its pid, as far as this process can see it; None for nobody.

    Asked without taking the lock (proc(5)). Raises OSError.
    """
    locks = Path("/proc/locks").read_text(encoding="ascii")
    return holder_in(locks, _device(file), os.fstat(file).st_ino)


def holder_in(locks: str, device: str, inode: int) -> int | None:
    """Who has a flock of that file, by a table as in /proc/locks; `device` is MAJOR:MINOR."""
    major, minor = map(int, device.split(":"))
    named = f"{major:02x}:{minor:02x}:{inode}"
    # 7: FLOCK  ADVISORY  WRITE 1234 fe:00:77 0 EOF; who waits for it has -> before FLOCK.
    rows = [line.split() for line in locks.splitlines()]
    return next((int(row[4]) for row in rows if row[1] == "FLOCK" and row[5] == named), None)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder_of(handle: int) -> str:
    """By its name alone: an argument may be a secret."""
    with suppress(OSError):
        if pid := lock_holder(handle):
            with suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace")
                return f"pid {pid} ({name.strip()})"
            return f"what pid {pid} has started, which has ended"
    return "another process"


def _device(file: int) -> str:
    """The filesystem's number, MAJOR:MINOR, as locks are listed by (proc(5): mountinfo).

    On btrfs and overlayfs `st_dev` is another; it is what is left where the mount is not listed.
    """
    about = Path(f"/proc/self/fdinfo/{file}").read_text(encoding="ascii")
    mount = about.partition("mnt_id:")[2].split()[:1]
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    numbers = [line.split()[2] for line in mounts.splitlines() if line.split()[:1] == mount]
    of_file = os.fstat(file).st_dev
    return (*numbers, f"{os.major(of_file)}:{os.minor(of_file)}")[0]
