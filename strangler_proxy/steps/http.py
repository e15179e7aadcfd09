"""The steps' own requests: health, the seam's report, samples for comparison. All bounded.

Each address gets so much time to be connected to, and then the whole exchange gets as much, however
slowly its bytes come.
"""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Event, Timer
from typing import Any
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, requote_uri

from strangler_proxy.compare import Answer
from strangler_proxy.steps.gates.answers import Sample
from strangler_proxy.steps.gates.traffic import Unobservable

TIMEOUT_S = 5.0
MAX_BODY_BYTES = 64 * 2**20


def ask(origin: str, sample: Sample, timeout_s: float = TIMEOUT_S) -> Answer:
    """Send one safe request as it stands, follow no redirect, decode no coding.

    Raises Unobservable if no whole answer of at most MAX_BODY_BYTES comes back in time. Cannot see
    that a head was cut off, or a body that only the end of its connection ends.
    """
    url = origin.rstrip("/") + sample.target
    try:
        with (
            closing(_connected(origin, timeout_s)) as connection,
            _cut_after(timeout_s, connection.sock),
        ):
            return _answer(connection, sample.method, url)
    except (OSError, HTTPException, ValueError) as fault:
        raise Unobservable(f"{url} does not answer: {fault}") from fault


def _connected(origin: str, timeout_s: float) -> HTTPConnection:
    """A connection, past any proxy that the environment names."""
    at = urlsplit(origin)
    connection = HTTPConnection(at.hostname or "", at.port, timeout=timeout_s)
    if at.scheme == "https":
        trusted = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
        connection = HTTPSConnection(at.hostname or "", at.port, timeout=timeout_s, context=trusted)
    connection.connect()
    return connection


@contextmanager
def _cut_after(timeout_s: float, connected: socket.socket) -> Iterator[None]:
    """Cut the connection when the time is over: a peer that drips would never be late by itself."""
    late = Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):
            socket.socket.shutdown(connected, socket.SHUT_RDWR)  # TLS has no say

    timer = Timer(timeout_s, cut)
    timer.start()
    try:
        yield
    except (OSError, HTTPException):
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    if late.is_set():
        raise TimeoutError(f"no whole answer within {timeout_s:g} s")


def _answer(connection: HTTPConnection, method: str, url: str) -> Answer:
    at = urlsplit(requote_uri(url))
    target = f"{at.path or '/'}?{at.query}" if at.query else at.path or "/"
    connection.request(method, target, headers={"Accept": "*/*", "Connection": "close"})
    got = connection.getresponse()
    body = got.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise Unobservable(f"{url} answers more than {MAX_BODY_BYTES} bytes")
    if got.length:
        raise ConnectionError(f"it broke off, {got.length} bytes before its end")
    return Answer(got.status, tuple(got.getheaders()), body)


def get_json(origin: str, target: str, timeout_s: float = TIMEOUT_S) -> Any:
    """The JSON that a 200 answer holds. Raises Unobservable."""
    answer = ask(origin, Sample("GET", target), timeout_s)
    if answer.status != 200:
        raise Unobservable(f"{origin}{target} answers {answer.status}")
    try:
        return json.loads(answer.body)
    except ValueError as fault:
        raise Unobservable(f"{origin}{target} does not answer JSON") from fault


def health_of(origin: str, target: str, service: str | None = None) -> Callable[[], str | None]:
    """A check of `origin``target`: 200, and the given name under `service` if one is expected."""

    def check() -> str | None:
        try:
            said = get_json(origin, target) if service else ask(origin, Sample("GET", target))
        except Unobservable as fault:
            return str(fault)
        if isinstance(said, Answer):
            return None if said.status == 200 else f"{origin}{target} answers {said.status}"
        if not isinstance(said, dict) or said.get("service") != service:
            return f"{origin}{target} is not the {service} service: it says {str(said)[:80]}"
        return None

    return check
