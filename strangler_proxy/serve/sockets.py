"""The sockets that clients connect to: one per worker on one address; the kernel spreads them.

The supervisor keeps them all: what the kernel has accepted for a worker that dies is served by
the one that takes its place.
"""

import os
import resource
import socket
from typing import cast

from strangler_proxy.config.address import Address
from strangler_proxy.wire.listener import BACKLOG


class AddressInUse(Exception):
    """Another program listens there."""


def listen(address: Address, count: int) -> list[socket.socket]:
    """Open `count` listening sockets on one address (port 0: a free one, the same for all).

    Raises AddressInUse, or OSError when the address is not this machine's.
    """
    family, _, _, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    _refuse_if_taken(family, target, address)
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(target)
            sock.listen(BACKLOG)
            sock.setblocking(False)
            target = sock.getsockname()
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _refuse_if_taken(family: int, target: object, address: Address) -> None:
    """SO_REUSEPORT alone would let a second proxy take half of the first one's clients."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(cast(tuple[str, int], target))
        except OSError as fault:
            raise AddressInUse(
                f"cannot listen on {address}: {os.strerror(fault.errno or 0)}"
            ) from (fault)


def raise_file_limit() -> None:
    """Allow as many open connections as the machine lets this user have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
