"""The audit file: who changed what, when, from what, to what. Only ever appended to.

A change is recorded before it is made: what cannot be recorded is not done, and nothing is done
that stands nowhere. If a recorded change then does not come about, its way back is recorded too,
with the reason; so whoever reads from the first line to the last knows what was in force.
"""

import json
import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strangler_proxy.admin.changes import Change
from strangler_proxy.config import Config
from strangler_proxy.shared_files import sync_folder

_LONGEST_TEXT = 500


class AuditFailed(OSError):
    """The audit file cannot be written: what was to be recorded must not be done."""


def audit_path(config: Config, config_path: Path) -> Path:
    """Where the audit file of a configuration is; a relative path starts beside that file."""
    return config_path.resolve().parent / (config.audit or ".strangler/audit.jsonl")


class AuditLog:
    """Appends to an audit file, which is made (mode 600, its folder 700) when it is not there.

    The file is opened anew for each record, so it may be moved away at any time.
    """

    def __init__(
        self, path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._path = path
        self._clock = clock
        self._one_at_a_time = threading.Lock()

    def record(self, who: str, *changes: Change, note: str = "") -> None:
        """Return when every change is on the disk, a line each.

        Raises AuditFailed when one may not be; blocks for as long as the disk takes.
        """
        lines = [self._line(who, change, note) for change in changes]
        if not lines:
            return
        try:
            with self._one_at_a_time:
                self._append(lines)
        except OSError as fault:
            reason = fault.strerror or str(fault)
            raise AuditFailed(
                f"nothing is changed, because the audit file {self._path} cannot be written: "
                f"{reason}"
            ) from fault

    def undone(self, who: str, *changes: Change, reason: str) -> None:
        """Record that changes already recorded were not made after all."""
        self.record(who, *(change.undone for change in changes), note=f"not done: {reason}")

    def _line(self, who: str, change: Change, note: str) -> bytes:
        now = self._clock().astimezone(UTC).isoformat(timespec="milliseconds")
        line = {
            "time": now.replace("+00:00", "Z"),
            "who": who[:_LONGEST_TEXT],
            "what": change.what[:_LONGEST_TEXT],
            "from": change.before,
            "to": change.after,
        }
        if note:
            line["note"] = note[:_LONGEST_TEXT]
        return json.dumps(line).encode() + b"\n"

    def _append(self, lines: list[bytes]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # NONBLOCK: a pipe without a reader is an error, not a wait for ever.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        handle = os.open(self._path, flags, 0o600)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise OSError("it is not a regular file")
            if status.st_size and os.pread(handle, 1, status.st_size - 1) != b"\n":
                # The disk was full, or the machine died, in the middle of a line: it stays as it
                # is, and the next one is not glued to it.
                lines = [b"\n" + lines[0], *lines[1:]]
            for line in lines:
                if os.write(handle, line) != len(line):
                    raise OSError("the disk took only a part of a line")
            os.fsync(handle)
        finally:
            os.close(handle)
        if not status.st_size:
            sync_folder(self._path.parent)


def last_entries(path: Path, most: int) -> list[dict[str, Any]]:
    """The last records, oldest first; a line that was cut off in the writing is left out.

    An audit file that is not there has none. Raises OSError when it cannot be read.
    """
    kept: deque[dict[str, Any]] = deque(maxlen=most)
    try:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict):
                    kept.append(entry)
    except FileNotFoundError:
        return []
    return list(kept)
