"""An upstream whose behaviour on each connection is a function: it may answer, lie, or die."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from tests.wire_tools.stream import Broken, Ended, Message, Stream

TIMEOUT_S = 10.0


@dataclass
class Request(Message):
    """A request as the upstream received it."""

    method: str = ""
    target: str = ""


class Peer:
    """The upstream's end of one connection."""

    def __init__(self, sock: socket.socket, upstream: Upstream, number: int) -> None:
        self.sock = sock
        self.stream = Stream(sock)
        self.number = number
        """Connections are counted from 0."""
        self._upstream = upstream

    def head(self) -> Request:
        """Read a request's head; Ended when the proxy closes instead of asking."""
        start, headers = self.stream.head()
        method, target, version = start.decode("latin-1").split(" ")
        assert version == "HTTP/1.1", version
        request = Request(method=method, target=target, headers=headers)
        self._upstream.heads.append(request)
        return request

    def request(self) -> Request:
        """Read a whole request."""
        request = self.head()
        self.body_of(request)
        return request

    def body_of(self, request: Request) -> None:
        """Read the body that belongs to a head."""
        coding, length = request.header("Transfer-Encoding"), request.header("Content-Length")
        assert coding is None or length is None, "framed in two ways"
        if coding is not None:
            assert coding == b"chunked"
            request.body, request.trailers = self.stream.chunked()
        elif length is not None:
            try:
                request.body = self.stream.exactly(int(length))
            except Ended as cut:
                raise Broken("the body did not come") from cut
        self._upstream.requests.append(request)

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.sock.sendall(data)

    def answer(self, body: bytes = b"", *lines: str, status: str = "200 OK") -> None:
        """Send a counted answer."""
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""]
        self.send("\r\n".join(head).encode("latin-1") + body)

    def echo(self, request: Request) -> None:
        """Answer with what was asked."""
        said = {
            "method": request.method,
            "target": request.target,
            "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in request.headers],
            "body": request.body.decode("latin-1"),
            "connection": self.number,
        }
        body = json.dumps(said).encode()
        if request.method == "HEAD":
            self.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        else:
            self.answer(body, "Content-Type: application/json")

    def reset(self) -> None:
        """Break the connection, so that the proxy gets an error and not an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def gone(self) -> bool:
        """Wait until the proxy has closed its end; whatever it still says is thrown away."""
        with contextlib.suppress(Broken):
            self.stream.rest()
        return True


Script = Callable[[Peer], None]


def echo(peer: Peer) -> None:
    """Answer each request with what was asked, until the proxy closes."""
    while True:
        peer.echo(peer.request())


class Upstream:
    """A server on a free port, or on a given one; each connection runs `script` in its own thread.

    A script's own faults (an assertion above all) are raised by `close`; that the proxy closed or
    cut the connection is none.
    """

    def __init__(
        self, script: Script = echo, tls: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self.script = script
        self.heads: list[Request] = []
        self.requests: list[Request] = []
        self.connections = 0
        self._tls = tls
        self._faults: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._server = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._server.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """What was asked for, in whole requests."""
        return [request.target for request in self.requests]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            sock.settimeout(TIMEOUT_S)
            thread = threading.Thread(target=self._run, args=(sock, self.connections))
            self.connections += 1
            self._threads = [known for known in self._threads if known.is_alive()] + [thread]
            thread.start()

    def _run(self, sock: socket.socket, number: int) -> None:
        self._open.add(sock)
        try:
            if self._tls is not None:
                secure = self._tls.wrap_socket(sock, server_side=True)
                self._open.discard(sock)
                self._open.add(sock := secure)
            self.script(Peer(sock, self, number))
        except (Ended, Broken, OSError):
            pass
        except Exception as fault:  # noqa: BLE001 - raised again by close
            self._faults.append(fault)
        finally:
            self._open.discard(sock)
            sock.close()

    def close(self) -> None:
        """Stop, and raise what went wrong in a script."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._acceptor.join()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        if self._faults:
            raise ExceptionGroup("in the upstream's script", self._faults)

    def __enter__(self) -> Upstream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
