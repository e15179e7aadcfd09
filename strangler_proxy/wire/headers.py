"""What each header field means to an intermediary (RFC 9110 §7.6, RFC 9112). Pure.

Names are classified once and remembered in a bounded cache; values pass as the bytes they are.
"""

from collections.abc import Iterator

from strangler_proxy.wire.remembered import remembered

Header = tuple[bytes, bytes]
Special = tuple[int, bytes, bytes]
"""Kind, name and value of a field that does not simply pass."""


# Plain integers, not an enum: they are compared for every header line of every message.
Kind = int
PLAIN, DROP, CONNECTION, HOST, LENGTH, CODING = range(6)
UPGRADE, EXPECT, FORWARDED, REQUEST_ID, VIA, MAX_FORWARDS, SIDE = range(6, 13)
# PLAIN (zero) passes untouched. DROP is meant for this hop only, or is a disguise of a field that
# the proxy answers for. FORWARDED says who the client is: believed only from trusted addresses.
# SIDE asks for one side of a route, with a secret that no upstream is to learn.

_KINDS = {
    b"connection": CONNECTION,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authenticate": DROP,
    b"proxy-authorization": DROP,
    b"proxy": DROP,  # becomes HTTP_PROXY in a CGI environment (CVE-2016-5385)
    b"te": DROP,
    b"transfer-encoding": CODING,
    b"upgrade": UPGRADE,
    b"host": HOST,
    b"content-length": LENGTH,
    b"expect": EXPECT,
    b"forwarded": FORWARDED,
    b"x-real-ip": FORWARDED,
    b"x-request-id": REQUEST_ID,
    b"via": VIA,
    b"max-forwards": MAX_FORWARDS,
    b"x-strangler-side": SIDE,
}


@remembered(4096)
def classify(name: bytes) -> Kind:
    """Say how a field of this name is treated, whatever its case."""
    low = name.lower()
    if b"_" in low:
        # WSGI gives X_Forwarded_For and X-Forwarded-For one name, HTTP_X_FORWARDED_FOR: a field
        # that the proxy answers for must not slip past it in the other spelling.
        disguised = classify(low.replace(b"_", b"-"))
        return DROP if disguised else PLAIN
    if low.startswith(b"x-forwarded-"):
        return FORWARDED
    if low.startswith(b"x-verified-"):
        return DROP  # what the proxy has verified is said by the proxy alone
    return _KINDS.get(low, PLAIN)


# Connection may name fields of this hop, but not take away what the message itself stands on.
_KEPT = frozenset({HOST, LENGTH, CODING, REQUEST_ID, FORWARDED, VIA, SIDE})
_USUAL_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade", b""})


@remembered(512)
def connection_options(value: bytes) -> frozenset[bytes]:
    """The options in the value of a Connection field, lower-case (RFC 9110 §7.6.1)."""
    return frozenset(option.strip(b" \t").lower() for option in value.split(b","))


@remembered(512)
def named_by_connection(value: bytes) -> frozenset[bytes]:
    """The field names, lower-case, that the value of Connection confines to this hop."""
    named = connection_options(value) - _USUAL_OPTIONS
    return frozenset(name for name in named if classify(name) not in _KEPT)


def may_be_trailer(name: bytes) -> bool:
    """Whether a field may come after a body: nothing that frames, routes or identifies (§6.5.1)."""
    return classify(name) == PLAIN and name.lower() not in _NEVER_TRAILERS


_NEVER_TRAILERS = {
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"cookie",
    b"set-cookie",
    b"trailer",
}


def fields(lines: list[bytes]) -> Iterator[Header]:
    """Names and values of header lines kept as pieces: name, `: `, value, line end."""
    return zip(lines[::4], lines[2::4], strict=True)


def without(lines: list[bytes], named: frozenset[bytes]) -> list[bytes]:
    """The lines whose lower-case names are not among `named`."""
    kept = [header for header in fields(lines) if header[0].lower() not in named]
    return [piece for name, value in kept for piece in (name, b": ", value, b"\r\n")]
