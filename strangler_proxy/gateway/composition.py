"""Puts one answer together from the answers of its parts: what to ask next, and what came of it.

Opens no sockets and reads no clock: whoever drives it asks what is ready, tells what came, and
stops when there is an outcome. Bytes of parts pass as they came, once they are known to be JSON.

Each part has a lifetime of its own, and may vary by whatever goes with it, cookies included. A
composed answer that a shared cache kept could reach another caller, and one with a fallback would
outlive the outage: none may be kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from strangler_proxy.config import Compose, Part
from strangler_proxy.gateway.json_text import NotThereError, encode, find, scalar, whole

_TARGET_BYTES = 8_192
_UNCACHED = b"Cache-Control: no-store\r\n"
_COMPOSED = b"Content-Type: application/json\r\n" + _UNCACHED
_TYPE = re.compile(rb"(?:^|\n)content-type:[ \t]*([^\r\n; \t]*)")
_JSON = re.compile(rb"(?:[^/]+/(?:[^/]+\+)?json)?")
# What a part's head says of the client's request, and of the body of a refusal. All else is about
# the part's own URL, or not for this client to keep: ETag, Cache-Control, Set-Cookie.
_OF_REQUEST = rb"www-authenticate|retry-after|allow|(?:x-)?ratelimit(?:-[a-z]+)?"
_OF_BODY = rb"content-(?:type|language|encoding)"
_FAULT_LINE = re.compile(rb"(?i)(?:^|\n)((?:%b):[^\r\n]*)" % _OF_REQUEST)
_REFUSAL_LINE = re.compile(rb"(?i)(?:^|\n)((?:%b|%b):[^\r\n]*)" % (_OF_REQUEST, _OF_BODY))


@dataclass(frozen=True, slots=True)
class Ask:
    """A part to be asked for now, by GET: its origin-form target, and the time that it has."""

    part: str
    target: bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Composed:
    """What the client gets. Where there is a `detail`, the body is the caller's problem report.

    `headers` are whole lines; the caller adds Content-Length and what it adds to all answers.
    """

    status: int
    headers: bytes
    body: bytes = b""
    fallbacks: tuple[str, ...] = ()
    detail: str | None = None


class _NotAskableError(Exception):
    """A part's target cannot be made of what is there. The client's doing if it named it all."""

    def __init__(self, detail: str, *, by_client: bool) -> None:
        super().__init__(detail)
        self.status = 400 if by_client else 502


class Composition:
    """One composed answer on its way.

    `arguments` are the route rule's, as Werkzeug's converters made them.
    """

    def __init__(self, compose: Compose, arguments: Mapping[str, Any]) -> None:
        self._compose = compose
        self._arguments = arguments
        self._waiting = list(compose.parts)  # not asked yet, in the file's order
        self._ready: list[Ask] = []
        self._under_way: set[str] = set()
        self._values: dict[str, bytes] = {}  # JSON of the parts that are had, fallbacks included
        self._fallbacks: set[str] = set()
        self._failures: dict[str, Composed] = {}
        self._advance()

    def ready(self) -> list[Ask]:
        """Parts to ask now; each is handed out once, and none after a required one has failed."""
        ready, self._ready = self._ready, []
        self._under_way.update(ask.part for ask in ready)
        return ready

    def answered(self, part: str, status: int, head: bytes, body: bytes) -> None:
        """Take a part's whole answer.

        `head` holds its field lines, each with its line end and without those of that connection; a
        status line before them does no harm. Raises KeyError for a part that is not under way.
        """
        self._under_way.remove(part)
        try:
            self._values[part] = _accepted(self._compose.parts[part], status, head, body)
        except ValueError as fault:
            if not self._falls_back(part):
                self._failures[part] = _refusal(part, status, head, body, str(fault))
        self._advance()

    def failed(self, part: str, status: int, detail: str, head: bytes = b"") -> None:
        """Take it that a part could not be had, and that the proxy would have answered `status`.

        `head` holds the field lines that would have gone with it, such as Retry-After. Raises
        KeyError for a part that is not under way.
        """
        self._under_way.remove(part)
        if not self._falls_back(part):
            self._failures[part] = _fault(part, status, head, f"could not be had: {detail}")
        self._advance()

    def outcome(self) -> Composed | None:
        """The answer, or None while parts are missing that it needs.

        A required part that failed ends it at once; of several, the first in the file counts. The
        caller then drops what is still under way.
        """
        parts = self._compose.parts
        if self._failures:
            return next(self._failures[name] for name in parts if name in self._failures)
        if len(self._values) < len(parts):
            return None
        headers = _COMPOSED
        fallbacks = tuple(name for name in parts if name in self._fallbacks)
        if fallbacks:
            headers += b"X-Composed-Fallback: %b\r\n" % ", ".join(fallbacks).encode()
        body = b",".join(b'"%b":%b' % (name.encode(), self._values[name]) for name in parts)
        return Composed(200, headers, b"{%b}" % body, fallbacks)

    def _falls_back(self, name: str) -> bool:
        part = self._compose.parts[name]
        if part.has_fallback:
            self._values[name] = encode(part.fallback)
            self._fallbacks.add(name)
        return part.has_fallback

    def _advance(self) -> None:
        """Find what can be asked now; a fallback that stands in may let others be asked as well."""
        needs, had = self._compose.needs, self._values
        while self._waiting and not self._failures:
            able = [name for name in self._waiting if needs[name] <= had.keys()]
            if not able:
                return
            for name in able:
                self._waiting.remove(name)
                try:
                    self._ready.append(self._ask(name, self._compose.parts[name]))
                except _NotAskableError as fault:
                    if not self._falls_back(name):
                        detail = f"cannot be asked: {fault}"
                        self._failures[name] = _fault(name, fault.status, b"", detail)
        if self._failures:
            self._ready.clear()

    def _ask(self, name: str, part: Part) -> Ask:
        values = {keys: quote(self._value(keys), safe="") for keys in part.references}
        target = part.target(values)
        if (objection := _objection(target, part, values)) is not None:
            by_client = all(len(keys) == 1 for keys in values)
            raise _NotAskableError(objection, by_client=by_client)
        return Ask(name, target.encode(), part.timeout_s)

    def _value(self, keys: tuple[str, ...]) -> str:
        """An argument of the rule, or what stands at a path in a part that is had."""
        if len(keys) == 1:
            return str(self._arguments[keys[0]])
        path = ".".join(keys)
        try:
            return scalar(find(self._values[keys[0]], keys[1:]))
        except NotThereError:
            raise _NotAskableError(f"there is no {path}", by_client=False) from None
        except ValueError as fault:
            raise _NotAskableError(
                f"{path} is {fault}, not a text or a number", by_client=False
            ) from None


def _objection(target: str, part: Part, values: Mapping[tuple[str, ...], str]) -> str | None:
    """Why a target must not be asked: its values do more than fill the places they have.

    Escaped slashes and dots count: the server that gets them reads them as plain ones.
    """
    if len(target) > _TARGET_BYTES:
        return f"its target is over {_TARGET_BYTES} bytes"
    path = part.get.partition("?")[0]
    for keys, value in values.items():
        if not value and f"{{{(name := '.'.join(keys))}}}" in path:
            return f"{name} is empty, and {target:.200} is another resource"
    if "." in target:
        segments = unquote(target.partition("?")[0]).split("/")
        if "." in segments or ".." in segments:
            return f"{target:.200} leads elsewhere"
    return None


def _accepted(part: Part, status: int, head: bytes, body: bytes) -> bytes:
    """The JSON that a part's answer counts as; ValueError says why it does not count."""
    if not 200 <= status < 300 or status == 206:
        raise ValueError(f"was answered {status}")
    kind = _TYPE.search(head.lower())
    if kind is not None and _JSON.fullmatch(kind[1]) is None:
        raise ValueError(f"was answered with {kind[1].decode('latin-1')}, which is not JSON")
    try:
        value = whole(body)
    except ValueError as fault:
        raise ValueError(f"was answered with what is not JSON: {fault}") from None
    if part.pick is None:
        return value
    try:
        return find(value, part.pick.split("."))
    except NotThereError:
        raise ValueError(f"was answered without {part.pick}") from None


def _refusal(name: str, status: int, head: bytes, body: bytes, why: str) -> Composed:
    """The answer when a required part was not had: its own if the client can do something about it.

    A 4xx passes, such as the 404 of a post; all else is between the proxy and the part's upstream.
    """
    if 400 <= status < 500:
        return Composed(status, _lines(_REFUSAL_LINE, head), body)
    return _fault(name, status, head, why)


def _fault(name: str, status: int, head: bytes, what: str) -> Composed:
    passes = 400 <= status < 500 or status in (502, 503, 504)
    headers = _lines(_FAULT_LINE, head)
    return Composed(status if passes else 502, headers, detail=f"part '{name}' {what}")


def _lines(kept: re.Pattern[bytes], head: bytes) -> bytes:
    return b"".join(b"%b\r\n" % line for line in kept.findall(head)) + _UNCACHED
