"""Requests that are looked at one by one: does a peer forward rightly, idle crowds, long uploads.

Blocking sockets on the load's cores; every wait is bounded.
"""

import http.client
import json
import select
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

from scripts.benchmarks.upstream import (
    LARGE_ANSWER,
    LARGE_BODY,
    LARGE_REQUEST,
    SEEN_PATH,
    SMALL,
    SMALL_BODY,
)

TIMEOUT_S = 60.0
UPLOAD_LIMIT_S = 180.0
_CHUNK = bytes(range(256)) * 1024
_SAMPLE = 50


class WrongAnswerError(Exception):
    """A peer's answer was not the one that its upstream gave."""


def connect(port: int, timeout_s: float = TIMEOUT_S) -> http.client.HTTPConnection:
    """One connection to a peer, which is never silently replaced by another."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    connection.connect()
    connection.auto_open = 0
    return connection


def answers(port: int) -> bool:
    """Whether a peer forwards already."""
    try:
        connection = connect(port, timeout_s=2)
    except OSError:
        return False
    try:
        return get(connection, SMALL.path) == SMALL_BODY
    except (OSError, http.client.HTTPException, WrongAnswerError):
        return False
    finally:
        connection.close()


def get(connection: http.client.HTTPConnection, path: str) -> bytes:
    """The body of a 200 answer; raises WrongAnswerError for any other status."""
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise WrongAnswerError(f"GET {path} was answered {answer.status}: {body[:200]!r}")
    return body


def verify(port: int, *, wants_request_id: bool) -> None:
    """Check that a peer forwards as all must; raises WrongAnswerError, saying how it does not."""
    connection = connect(port)
    try:
        for path, expected in ((SMALL.path, SMALL_BODY), (LARGE_ANSWER.path, LARGE_BODY)):
            if get(connection, path) != expected:
                raise WrongAnswerError(f"GET {path} brought another body than the upstream's")
        get(connection, SEEN_PATH)
        seen = json.loads(get(connection, SEEN_PATH))
    finally:
        connection.close()
    # Not compared with 127.0.0.1: for clients on the loopback interface, Envoy names its own host.
    if not seen["x_forwarded_for"]:
        raise WrongAnswerError("the upstream saw no X-Forwarded-For")
    if seen["host"] != f"127.0.0.1:{port}":
        raise WrongAnswerError(f"the upstream saw Host {seen['host']} instead of the client's")
    if wants_request_id and not seen["x_request_id"]:
        raise WrongAnswerError("the upstream saw no X-Request-ID")
    if seen["nth"] < 2:
        raise WrongAnswerError("the connection to the upstream was not kept alive")
    upload(port, 3 * len(_CHUNK))


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload that arrived whole."""

    size_bytes: int
    seconds: float


def upload(port: int, size_bytes: int) -> Upload:
    """Stream a body through a peer; raises WrongAnswerError unless every byte came to the sink.

    `size_bytes` is a multiple of 256 KiB. Bounded by UPLOAD_LIMIT_S and a timeout for each step.
    """
    chunks = size_bytes // len(_CHUNK)
    expected = {"bytes": size_bytes, "crc32": _crc(chunks)}
    started = time.monotonic()
    connection = connect(port)
    try:
        connection.putrequest("POST", LARGE_REQUEST.path)
        connection.putheader("Content-Length", str(size_bytes))
        connection.putheader("X-Checksum", "crc32")
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError):  # an early answer says why
            for _ in range(chunks):
                connection.send(_CHUNK)
                if time.monotonic() - started > UPLOAD_LIMIT_S:
                    raise WrongAnswerError(f"the upload took longer than {UPLOAD_LIMIT_S:.0f} s")
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200 or json.loads(body) != expected:
        raise WrongAnswerError(f"an upload of {size_bytes} bytes: {answer.status}, {body[:200]!r}")
    return Upload(size_bytes, time.monotonic() - started)


@cache
def _crc(chunks: int) -> int:
    crc = 0
    for _ in range(chunks):
        crc = zlib.crc32(_CHUNK, crc)
    return crc


class Crowd:
    """Connections that have each carried one request, and now wait."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._members: list[http.client.HTTPConnection] = []

    def grow(self, to: int, within_s: float) -> None:
        """Open connections one after another; raises WrongAnswerError when that takes too long."""
        deadline = time.monotonic() + within_s
        while len(self._members) < to:
            if time.monotonic() > deadline:
                raise WrongAnswerError(
                    f"only {len(self._members)} connections within {within_s:.0f} s"
                )
            self._members.append(connect(self._port))
            if get(self._members[-1], SMALL.path) != SMALL_BODY:
                raise WrongAnswerError("a connection of the idle crowd got a wrong body")

    def alive(self) -> int:
        """How many are still open: an idle connection that is readable has been closed."""
        poller = select.poll()
        for member in self._members:
            poller.register(member.sock, select.POLLIN | select.POLLHUP)
        return len(self._members) - len(poller.poll(0))

    def try_some(self) -> None:
        """Use some of the idle connections, and a new one; raises WrongAnswerError."""
        fresh = connect(self._port)
        try:
            for member in [*self._members[:: max(1, len(self._members) // _SAMPLE)], fresh]:
                if get(member, SMALL.path) != SMALL_BODY:
                    raise WrongAnswerError("beside idle connections, a request got a wrong body")
        finally:
            fresh.close()

    def close(self) -> None:
        """Close all of them."""
        for member in self._members:
            member.close()


@contextmanager
def crowd(port: int) -> Iterator[Crowd]:
    """A crowd that is dissolved on leaving."""
    members = Crowd(port)
    try:
        yield members
    finally:
        members.close()
