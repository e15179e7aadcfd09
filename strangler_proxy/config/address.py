"""Socket addresses and upstream URLs as they stand in the file. Pure."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>[0-9]{1,5})")
_HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+")


class Address(NamedTuple):
    """A host (name or literal, IPv6 without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Origin(NamedTuple):
    """Where an upstream listens, and whether TLS is spoken there."""

    address: Address
    tls: bool


def parse_address(text: str) -> Address:
    """Read `host:port` or `[v6]:port`; ValueError says what is expected."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise ValueError(f"'{text}' is not an address: write host:port, such as 127.0.0.1:8000")
    return Address(found["v6"] or found["host"], int(found["port"]))


def parse_origin(url: str) -> Origin:
    """Read `http://host[:port]` or `https://host[:port]`; ValueError says what is expected."""
    expected = (
        "write http://host:port, without a path: the request's own path is passed on as it is"
    )
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"'{url}' has no valid port: {expected}")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise ValueError(f"'{url}' is not an upstream's URL: {expected}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"'{url}' says more than a host and a port: {expected}")
    tls = parts.scheme == "https"
    return Origin(Address(host, port or (443 if tls else 80)), tls)
