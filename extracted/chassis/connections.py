"""Connections on which a call ends when its time is up, however slowly the other side drips.

requests bounds each silence and not the whole, so a server that sends a byte now and then holds its
caller for as long as it likes. Here each read and write waits for what is left of the call at most.
The look-up of a name is the resolver's, and takes the time that the resolver allows.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.util.ssl_ import create_urllib3_context

_call = threading.local()


@contextmanager
def time_for_call(silence_s: float, total_s: float) -> Iterator[None]:
    """Bound each silence, and all reads and writes of this thread together, while this is open."""
    _call.silence_s, _call.until = silence_s, time.monotonic() + total_s
    try:
        yield
    finally:
        del _call.silence_s, _call.until


def tls_context() -> ssl.SSLContext:
    """How TLS is spoken on such connections. It comes to trust what its adapters verify against."""
    context = create_urllib3_context()
    context.sslsocket_class = _TlsSocket
    return context


class BoundedAdapter(HTTPAdapter):
    """Sends requests on such connections, each once; keeps up to 32 for later ones.

    `context` is one of `tls_context`.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_maxsize=32)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Make the pools that open such connections."""
        super().init_poolmanager(
            connections, maxsize, block=block, ssl_context=self._context, **pool_kwargs
        )
        pools = {"http": _Pool, "https": HTTPSConnectionPool}
        self.poolmanager.pool_classes_by_scheme = pools


def _bound(sock: socket.socket) -> None:
    left_s = getattr(_call, "until", float("inf")) - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the time for this call is up")
    if left_s != float("inf"):
        sock.settimeout(min(_call.silence_s, left_s))


class _Socket(socket.socket):
    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _bound(self)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        _bound(self)
        super().sendall(*args, **kwargs)


class _TlsSocket(ssl.SSLSocket):
    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _bound(self)
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        # `sendall` over TLS is a series of these.
        _bound(self)
        return super().send(*args, **kwargs)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        plain = self.sock
        self.sock = _Socket(plain.family, plain.type, plain.proto, plain.detach())


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection
