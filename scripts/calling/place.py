"""Where the blog is: on this machine, and answering."""

from ipaddress import IPv4Address
from urllib.parse import urlsplit

import requests

LOOK_S = 10.0


class NoBlogError(Exception):
    """There is no blog to make traffic against; the message says why and what to do."""


def origin(url: str) -> str:
    """The address of a blog on this machine, as scheme, host and port.

    Raises NoBlogError for any other: clients come from addresses that only this machine has.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as fault:
        raise NoBlogError(f"{url} is no address: {fault}") from fault
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    if parts.scheme != "http" or parts.path.strip("/") or parts.query:
        raise NoBlogError(f"{url} is no address such as http://127.0.0.1:8000")
    if not _is_here(host):
        raise NoBlogError(f"{url} is not on this machine: name the proxy by its address 127.0.0.1")
    return f"http://{host}:{port or 80}"


def _is_here(host: str) -> bool:
    try:
        return IPv4Address(host).is_loopback
    except ValueError:
        return False


def posts_at(address: str) -> int:
    """How many posts the blog there has. Raises NoBlogError when none answers."""
    url = f"{address}/posts?per_page=1"
    try:
        with requests.Session() as session:
            session.trust_env = False
            found = session.get(url, timeout=LOOK_S)
    except requests.RequestException as fault:
        raise NoBlogError(
            f"nothing answers at {address}: scripts/up --detach starts the blog"
            f" ({type(fault).__name__})"
        ) from fault
    try:
        return int(found.json()["total"])
    except (ValueError, KeyError, TypeError) as fault:
        raise NoBlogError(f"{url} answers {found.status_code}: is this the blog?") from fault
