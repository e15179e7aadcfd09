"""Who asks, in words for the audit file."""

import pwd
import re
import socket
import struct

from aiohttp import web

CLAIM = "X-Strangler-User"
_CREDENTIALS = struct.Struct("3i")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9._@+-]+")
_LONGEST_CLAIM = 64


def who(request: web.Request) -> str:
    """`kim (uid 1000)` on the local socket, by the kernel's word (SO_PEERCRED, unix(7)).

    On the address `admin address 10.0.0.1`, and whom the client says it acts for: a claim only.
    """
    transport = request.transport
    peer = transport.get_extra_info("socket") if transport is not None else None
    if peer is None:
        return "somebody who is gone"
    if peer.family == socket.AF_UNIX:
        packed = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return user(_CREDENTIALS.unpack(packed)[1])
    claim = _NOT_A_NAME.sub("_", request.headers.get(CLAIM, ""))[:_LONGEST_CLAIM]
    return f"admin address {request.remote}" + (f", says {claim}" if claim else "")


def user(uid: int) -> str:
    """A user's name and number; the number alone where the system knows no name."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
