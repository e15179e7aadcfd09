"""The access log: a line of JSON for each answer, sampled, with what is secret left out.

Values are cut to 2 KiB, and further where a line would be longer than a pipe takes whole; nothing a
client sends can end a line, or be read as a command by a terminal.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import msgspec

from strangler_proxy.config import AccessLog as Settings
from strangler_proxy.wire.headers import Header
from strangler_proxy.wire.log_file import PIPE_BYTES, LogFile
from strangler_proxy.wire.redaction import Redaction

LONGEST_VALUE = 2048
_SHORTER = (512, 128, 32)
_WHOLE = 2**64
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Record:
    """What there is to say of one answer; what is not known stays out of the line."""

    time_unix_s: float
    """When the request came, by the wall clock."""
    client: str
    method: bytes
    target: bytes
    """The request target as it came, with its query."""
    route: str
    upstream: str | None
    """Who answered; None when the proxy did so itself."""
    status: int
    duration_s: float
    request_id: bytes
    address: str | None = None
    sent_bytes: int | None = None
    """What was written to the client, head included."""
    trace_id: bytes | None = None
    tries: int = 1
    reason: str = ""
    """Why this side: control, candidate, canary, forced, fallback."""
    fault: str | None = None
    """The proxy's own words, when it answered itself."""
    subject: str | None = None
    """Whom a verified token names."""
    headers: Iterable[Header] = ()
    """The request's headers; those that the settings name are written."""


class AccessLog:
    """Chooses, writes down and keeps lines; a worker has one. For the event loop's thread."""

    def __init__(self, settings: Settings, file: LogFile | None = None) -> None:
        self._below = int(settings.sample_percent / 100 * _WHOLE)
        self._redaction = Redaction(settings.redact)
        self._names = {name.lower().encode(): name.lower() for name in settings.headers}
        self._file = file or LogFile(settings.path)
        self._second = (0, "")

    @property
    def dropped(self) -> int:
        """Lines that were lost: the file did not take them as fast as they came, or at all."""
        return self._file.dropped

    def wants(self, request_id: bytes, status: int) -> bool:
        """Whether this answer is written: failures always, of others the sampled percent.

        The request's id decides, so that all machines that see a request choose alike.
        """
        if status >= 500 or self._below >= _WHOLE:
            return True
        digest = blake2b(request_id, digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._below

    def write(self, record: Record) -> None:
        """Take the record's line; it is in the file soon after the next `flush`."""
        self._file.write(self.line(record))

    def flush(self) -> None:
        """Have what was taken written by the thread; call it some four times a second."""
        self._file.flush()

    def close(self, wait_s: float = 0.0) -> None:
        """Take no more; the thread writes the rest, and is waited for this long."""
        self._file.close(wait_s)

    def line(self, record: Record) -> bytes:
        """The record as one line of ASCII JSON, at most PIPE_BYTES long with its end."""
        line = self._line(record, LONGEST_VALUE)
        if len(line) <= PIPE_BYTES:
            return line
        for longest in _SHORTER:
            line = self._line(record, longest)
            if len(line) <= PIPE_BYTES:
                return line
        return self._line(replace(record, headers=()), _SHORTER[-1])

    def _line(self, record: Record, longest: int) -> bytes:
        values: dict[str, Any] = {
            "time": self._time(record.time_unix_s),
            "client": record.client,
            "method": _text(record.method, longest),
            "path": _text(self._redaction.target(record.target), longest),
            "route": record.route,
            "upstream": record.upstream,
            "address": record.address,
            "status": record.status,
            "duration_ms": round(record.duration_s * 1000, 3),
            "bytes": record.sent_bytes,
            "request_id": _text(record.request_id, longest),
            "trace_id": None if record.trace_id is None else record.trace_id.decode(),
            "tries": record.tries,
            "reason": record.reason or None,
            "fault": None if record.fault is None else record.fault[:longest],
            "subject": None if record.subject is None else record.subject[:longest],
        }
        present = {key: value for key, value in values.items() if value is not None}
        if self._names and (headers := self._headers(record.headers, longest)):
            present["headers"] = headers
        return _json(present)

    def _headers(self, headers: Iterable[Header], longest: int) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in headers:
            low = name.lower()
            if (key := self._names.get(low)) is not None:
                text = _text(self._redaction.header(low, value), longest)
                found[key] = f"{found[key]}, {text}"[:longest] if key in found else text
        return found

    def _time(self, unix_s: float) -> str:
        """UTC to the millisecond; the text of a second is kept."""
        milliseconds = int(unix_s * 1000)
        second = milliseconds // 1000
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{self._second[1]}.{milliseconds % 1000:03d}Z"


def _text(value: bytes, longest: int) -> str:
    """Bytes as text: what is not UTF-8 stands as \\xff; what is too long ends in an ellipsis."""
    if len(value) > longest:
        return value[:longest].decode("utf-8", "backslashreplace") + "…"
    return value.decode("utf-8", "backslashreplace")


def _json(values: dict[str, Any]) -> bytes:
    try:
        line = _encode(values)
    except UnicodeEncodeError:  # half a surrogate pair
        line = b"\xff"
    if not line.isascii():
        # Beyond ASCII there are characters that move a terminal's cursor or turn text around.
        line = json.dumps(values, separators=(",", ":")).encode()
    if b"\x7f" in line:
        line = line.replace(b"\x7f", b"\\u007f")
    return line + b"\n"
