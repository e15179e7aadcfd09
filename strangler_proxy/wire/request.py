"""Read a request's head and write the one that goes upstream (RFC 9112 §3, §6, RFC 9110 §7). Pure.

llhttp has already refused bad bytes, bare line ends, folded lines, and lengths that disagree; here
is refused whatever two readers could still understand differently.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from strangler_proxy.wire.faults import LOOP, Fault, bad_request
from strangler_proxy.wire.headers import (
    CODING,
    CONNECTION,
    DROP,
    EXPECT,
    FORWARDED,
    HOST,
    LENGTH,
    MAX_FORWARDS,
    REQUEST_ID,
    SIDE,
    UPGRADE,
    VIA,
    Header,
    Special,
    connection_options,
    fields,
    named_by_connection,
    without,
)
from strangler_proxy.wire.identity import MAX_PASSES, VIA_LINE, is_usable_id, passes
from strangler_proxy.wire.remembered import remembered

_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?")
# Asking for these twice does what asking once does (RFC 9110 §9.2.2).
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
# TRACE would show a client the headers that the proxy adds; CONNECT asks for another kind of proxy.
_NOT_FORWARDED = frozenset({b"CONNECT", b"TRACE"})


# How a message's body is framed; plain integers, compared for every message.
NO_BODY, COUNTED, CHUNKED = range(3)


@dataclass(slots=True)
class RequestHead:
    """A request's head, understood.

    `path` is the raw path without its query, for routing; `target` is what goes upstream;
    `lines` are the header lines that pass, in their order, as pieces to be joined.
    """

    method: bytes
    target: bytes
    lines: list[bytes]
    http_1_0: bool
    idempotent: bool
    """Whether the request may be sent again when nobody knows if it was carried out."""
    path: bytes = b""
    host: bytes = b""
    keep_alive: bool = True
    body: int = NO_BODY
    length: int = 0
    upgrade: bytes = b""
    expects: bool = False
    """The client may wait with the body for a 100 (Continue)."""
    unread: bool = False
    """It asks for an upgrade and has a body, which httptools then leaves unread."""
    request_id: bytes = b""
    forwarded: tuple[Header, ...] = ()
    side: bytes = b""
    """The side of the route that is asked for, with the secret that allows it."""

    def value(self, name: bytes) -> bytes | None:
        """The first value of a passing header, by its lower-case name."""
        return next((value for field, value in fields(self.lines) if field.lower() == name), None)


def read_head(
    method: bytes, target: bytes, version: str, lines: list[bytes], special: list[Special]
) -> RequestHead | Fault:
    """Understand a parsed head, or say why it is refused.

    `version` is llhttp's, such as "1.1"; `lines` are the fields that pass, Host and Content-Length
    among them, as pieces; `special` are all that mean something to an intermediary.
    """
    if version != "1.1" and version != "1.0":
        return Fault(505, f"HTTP/{version} is not spoken here: use HTTP/1.1")
    if method in _NOT_FORWARDED:
        return Fault(501, f"{method.decode()} is not forwarded")
    head = RequestHead(method, target, lines, version == "1.0", method in IDEMPOTENT)
    hosts = 0
    unusual: list[Special] = []
    for field in special:
        kind, _, value = field
        if kind == HOST:
            hosts += 1
            head.host = value
        elif kind == LENGTH:
            head.body, head.length = COUNTED, int(value)
        elif kind == REQUEST_ID:
            if is_usable_id(value := value.strip(b" \t")):
                head.request_id = value
        elif kind != DROP and not (kind == CONNECTION and value in _PLAIN_CONNECTION):
            unusual.append(field)
    if (hosts != 1 or not _is_host(head.host)) and (fault := _read_odd_host(head, hosts)):
        return fault
    if unusual and (fault := _read_unusual(head, unusual)):
        return fault
    if target.startswith(b"/") and b"#" not in target:
        head.path = target.partition(b"?")[0]
        return head
    return _read_odd_target(head) or head


@remembered(1024)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _read_odd_host(head: RequestHead, hosts: int) -> Fault | None:
    if hosts > 1:
        return bad_request("the request has more than one Host")
    if not hosts:
        if not head.http_1_0:
            return bad_request("the request has no Host")
        head.lines = [b"Host", b": ", b"", b"\r\n", *head.lines]  # RFC 9112 §3.2: 1.1 has one
    head.host = head.host.strip(b" \t")
    if not _is_host(head.host):
        return bad_request("the Host is not a host and port")
    return None


# What Connection says almost always; llhttp's should_keep_alive has understood it.
_PLAIN_CONNECTION = frozenset({b"keep-alive", b"Keep-Alive", b"close"})


def _read_unusual(head: RequestHead, special: list[Special]) -> Fault | None:
    by_kind: dict[int, list[Header]] = {}
    for kind, name, value in special:
        by_kind.setdefault(kind, []).append((name, value))
    connection = b",".join(value for _, value in by_kind.get(CONNECTION, ()))
    options = connection_options(connection)
    if named := named_by_connection(connection):
        head.lines = without(head.lines, named)
    head.forwarded = tuple(by_kind.get(FORWARDED, ()))
    if sides := by_kind.get(SIDE):
        head.side = sides[0][1].strip(b" \t")
    if b"upgrade" in options and not head.http_1_0 and CODING not in by_kind:
        _read_upgrade(head, by_kind.get(UPGRADE, []))
    return (
        _read_coding(head, by_kind.get(CODING, []))
        or _read_expectation(head, by_kind.get(EXPECT, []))
        or _read_via(head, by_kind.get(VIA, []))
        or _read_max_forwards(head, by_kind.get(MAX_FORWARDS, []))
    )


def _read_upgrade(head: RequestHead, protocols: list[Header]) -> None:
    """Pass WebSocket on, nothing else: an upgrade to h2c would be a way around every route."""
    if len(protocols) == 1 and head.method == b"GET" and not head.body:
        protocol = protocols[0][1].strip()
        if protocol.lower() == b"websocket":
            head.upgrade = protocol


def _read_coding(head: RequestHead, codings: list[Header]) -> Fault | None:
    if not codings:
        return None
    if head.http_1_0:
        return bad_request("Transfer-Encoding is not part of HTTP/1.0")
    if head.body or len(codings) > 1:
        return bad_request("the length of the body is said in more than one way")
    if codings[0][1].strip(b" \t").lower() != b"chunked":
        return Fault(501, "no Transfer-Encoding but chunked is understood")
    head.body = CHUNKED
    return None


def _read_expectation(head: RequestHead, expectations: list[Header]) -> Fault | None:
    for name, value in expectations:
        if value.strip(b" \t").lower() != b"100-continue":
            return Fault(417, "no Expect but 100-continue is understood")
        if not head.http_1_0 and head.body:
            head.lines += (name, b": ", value, b"\r\n")
            head.expects = True
    return None


def _read_via(head: RequestHead, via: list[Header]) -> Fault | None:
    if passes(value for _, value in via) >= MAX_PASSES:
        return LOOP
    for name, value in via:
        head.lines += (name, b": ", value, b"\r\n")
    return None


def _read_max_forwards(head: RequestHead, limits: list[Header]) -> Fault | None:
    for name, value in limits:
        if head.method != b"OPTIONS" or not value.isdigit() or len(value) > 9:
            head.lines += (name, b": ", value, b"\r\n")
        elif int(value) == 0:  # RFC 9110 §7.6.2: the last recipient answers
            return Fault(200, "Max-Forwards ended at this proxy")
        else:
            head.lines += (name, b": ", b"%d" % (int(value) - 1), b"\r\n")
    return None


def _read_odd_target(head: RequestHead) -> Fault | None:
    if b"#" in head.target:
        return bad_request("the request target has a fragment")
    if head.target == b"*" and head.method == b"OPTIONS":
        head.path = b"*"
        return None
    return _read_absolute_form(head)


def _read_absolute_form(head: RequestHead) -> Fault | None:
    """A target with scheme and host: its host counts, not the Host field (RFC 9112 §3.2.2)."""
    try:
        parts = urlsplit(head.target)
    except ValueError:
        return bad_request("the request target is not a URL")
    if parts.scheme not in (b"http", b"https") or not parts.netloc:
        return bad_request("the request target is neither a path nor an http URL")
    if b"@" in parts.netloc or not _is_host(parts.netloc):
        return bad_request("the request target's authority is not a host and port")
    # What follows the authority is cut off, not put together again: its bytes pass untouched.
    rest_of_target = head.target.partition(b"://")[2][len(parts.netloc) :]
    head.target = rest_of_target if rest_of_target.startswith(b"/") else b"/" + rest_of_target
    head.path = head.target.partition(b"?")[0]
    head.host = parts.netloc
    rest = without(head.lines, frozenset({b"host"}))
    head.lines = [b"Host", b": ", head.host, b"\r\n", *rest]
    return None


def write_head(head: RequestHead, identity: bytes) -> bytes:
    """The head for the upstream: request line, the passing lines, and the proxy's own.

    `identity` holds the lines that tell who the client is.
    """
    framing = b""
    if head.body == CHUNKED:
        framing = b"Transfer-Encoding: chunked\r\n"
    if head.upgrade:
        framing += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % head.upgrade
    return b"".join(
        (
            head.method,
            b" ",
            head.target,
            b" HTTP/1.1\r\n",
            *head.lines,
            framing,
            identity,
            b"X-Request-ID: ",
            head.request_id,
            b"\r\n",
            VIA_LINE,
            b"\r\n",
        )
    )
