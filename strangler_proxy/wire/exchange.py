"""One request and its answer: which upstream has it, what was sent, and how it may still end.

A request is sent a second time, once, only if its connection ended without an answer, asking twice
is asking once (RFC 9110 §9.2.2), and its bytes are still at hand.
"""

import logging
from time import perf_counter
from typing import TYPE_CHECKING

from strangler_proxy.wire.faults import Fault, bad_gateway, gateway_timeout, overloaded
from strangler_proxy.wire.request import CHUNKED, RequestHead, write_head
from strangler_proxy.wire.tunnel import Tunnel

if TYPE_CHECKING:
    from strangler_proxy.wire.client import ClientConnection
    from strangler_proxy.wire.plane import Lane
    from strangler_proxy.wire.upstream import UpstreamConnection

log = logging.getLogger(__name__)
REPLAYABLE_BYTES = 65_536

# How far an exchange is; plain integers, looked at for every piece.
WAITING, QUEUED, SENT, ANSWERING, SWITCHING, OVER = range(6)


class Exchange:
    """A request on its way through the proxy, from its head to the end of its answer."""

    __slots__ = (
        "_conn", "_fresh", "_pending", "_replay", "_retried", "_started", "body_bytes",
        "chunked_answer", "client", "head", "keep_alive", "lane", "pending_bytes", "received",
        "stage",
    )  # fmt: skip
    lane: "Lane"

    def __init__(self, client: "ClientConnection", head: RequestHead) -> None:
        self.client = client
        self.head = head
        self.stage = WAITING
        self.keep_alive = head.keep_alive
        self.received = False
        """The request is here whole."""
        self.chunked_answer = False
        self.body_bytes = 0
        self.pending_bytes = 0
        self._pending: list[bytes] = []
        self._replay: list[bytes] | None = None
        self._conn: UpstreamConnection | None = None
        self._retried = False

    # --- what the client sends

    def take(self, piece: bytes) -> None:
        """Keep a piece of the body, framed for the upstream, until it can be sent."""
        if self.head.body == CHUNKED:
            self._pending += (b"%x\r\n" % len(piece), piece, b"\r\n")
        else:
            self._pending.append(piece)
        self.body_bytes += len(piece)
        self.pending_bytes += len(piece)

    def complete(self, trailers: list[tuple[bytes, bytes]]) -> None:
        """The request is whole."""
        self.received = True
        if self.head.body == CHUNKED:
            lines = b"".join(b"%b: %b\r\n" % header for header in trailers)
            self._pending.append(b"0\r\n%b\r\n" % lines)

    # --- finding an upstream

    def start(self) -> None:
        """Choose who answers, and send the request there."""
        client, head = self.client, self.head
        plane = client.plane
        self._started = perf_counter()
        self.lane = lane = plane.lane(client, head)
        if not head.request_id:
            head.request_id = plane.new_id()
        self._pending.insert(0, write_head(head, client.identity(head)))
        # A connection that the server is about to close looks like any other. A request that must
        # not be repeated does not take that risk, unless the upstream's settings say so.
        self._fresh = not head.idempotent and lane.pool.upstream.reuse == "safe"
        self.acquire()

    def acquire(self) -> None:
        """Ask the pool for a connection; `connected` or `fail` follows, perhaps at once."""
        pool = self.lane.pool
        connection = None if self._fresh else pool.take()
        if connection is not None:
            self.connected(connection)
            return
        self.client.wait_forever()  # the attempt to connect has a bound of its own
        pool.open(self)
        if self.stage == QUEUED:
            self.client.wait(pool.upstream.queue_timeout_s)

    def connected(self, connection: "UpstreamConnection") -> None:
        """Send what is here of the request."""
        client = self.client
        self._conn = connection
        self.stage = SENT
        connection.exchange, connection.heard = self, False
        if client.write_blocked:
            connection.pause()
        self.send()
        if self.received:
            client.deadline = client.plane.now + self.lane.timeout_s
        else:
            client.wait_for(self)
            connection.watch_for_early_answer()
            client.regulate()

    def send(self) -> bool:
        """Send what has arrived since; whether there was anything."""
        connection, pieces = self._conn, self._pending
        if connection is None or not pieces:
            return False
        if self._replay is None:
            self._replay = pieces
        elif self.body_bytes <= REPLAYABLE_BYTES and self.head.idempotent:
            self._replay = self._replay + pieces
        connection.transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._pending, self.pending_bytes = [], 0
        return True

    @property
    def blocked(self) -> bool:
        """Whether the client should send no more for now."""
        connection = self._conn
        if connection is None:
            return self.pending_bytes > 0
        return connection.write_blocked

    def upstream_ready(self) -> None:
        """The upstream takes more again."""
        self.client.wait_for(self)
        self.client.regulate()

    def pause_answer(self) -> None:
        """The client takes the answer more slowly than it comes."""
        if self._conn is not None:
            self._conn.pause()

    def resume_answer(self) -> None:
        """The client takes more again."""
        if self._conn is not None:
            self._conn.resume()

    # --- the answer

    def interim(self, status: int, passing: bytes) -> list[bytes]:
        """A 1xx answer as the client gets it; HTTP/1.0 knows none (RFC 9110 §15.2)."""
        if status == 101 and not self.head.upgrade:
            self.garbled("it switched protocols unasked")
            return []
        if self.head.http_1_0:
            return []
        out = [b"HTTP/1.1", passing]
        if status == 101:
            self.stage = SWITCHING
            out.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % self.head.upgrade)
            self._record(101)
        out.append(b"\r\n")
        return out

    def answer(self, status: int, passing: bytes, body: int) -> list[bytes]:
        """The final answer's head as the client gets it; `body` is the upstream's framing."""
        self.stage = ANSWERING
        self.lane.tally.record(perf_counter() - self._started, status)
        out = [b"HTTP/1.1", passing]
        if not self.received and status >= 400:
            self.keep_alive = False  # the rest of the request is not wanted
        if body >= CHUNKED:  # or until the connection closes
            if self.head.http_1_0:
                self.keep_alive = False
            else:
                self.chunked_answer = True
                out.append(b"Transfer-Encoding: chunked\r\n")
        if not self.keep_alive or self.client.plane.draining:
            self.keep_alive = False
            out.append(b"Connection: close\r\n")
        elif self.head.http_1_0:
            out.append(b"Connection: keep-alive\r\n")
        out.append(b"\r\n")
        return out

    def _record(self, status: int) -> None:
        self.lane.tally.record(perf_counter() - self._started, status)

    def finish(self, out: list[bytes], *, reusable: bool) -> None:
        """Hand the last of the answer to the client, and the connection back to its pool."""
        client, connection = self.client, self._conn
        client.write_answer(out)
        self.stage, self._conn = OVER, None
        if connection is not None:
            connection.exchange = None
            if connection.paused:
                connection.resume()
            whole = self.received and not self._pending
            self.lane.pool.give_back(connection, reusable=reusable and whole)
        client.finished(self)

    def switch(self, leftover: bytes) -> None:
        """Both sides have left HTTP (101): from here on bytes pass as they are."""
        connection, self._conn = self._conn, None
        if connection is None:
            return
        connection.exchange = None
        self.stage = OVER
        Tunnel(self.client, connection, self.lane.pool).start(leftover)

    # --- ends that nobody wished for

    def upstream_lost(self, exc: Exception | None) -> None:
        """The upstream's connection is gone before the answer was whole."""
        connection = self._conn
        heard = connection is not None and connection.heard
        self._release(reusable=False)
        if not heard and not self._retried and self.head.idempotent and self._can_replay():
            self._retried = self._fresh = True
            self._pending = (self._replay or []) + self._pending
            self._replay = None
            self.acquire()
            return
        how = f"broke the connection ({exc})" if exc else "closed the connection"
        when = "in the middle of its answer" if heard else "without an answer"
        self.fail(bad_gateway(self.lane.pool.name, f"{how} {when}"))

    def _can_replay(self) -> bool:
        return self._replay is not None and self.body_bytes <= REPLAYABLE_BYTES

    def garbled(self, what: str) -> None:
        """The upstream does not speak HTTP as it should."""
        self._release(reusable=False)
        self.fail(bad_gateway(self.lane.pool.name, f"gave an answer that is not HTTP: {what}"))

    def expire(self) -> None:
        """The upstream took too long."""
        name = self.lane.pool.name
        if self.stage == QUEUED:
            self.fail(overloaded(name, "had no connection free in time"))
        else:
            self._release(reusable=False)
            self.fail(gateway_timeout(name, f"did not answer in {self.lane.timeout_s:g} s"))

    def fail(self, fault: Fault) -> None:
        """End with an answer of the proxy's own, or by breaking an answer that has begun."""
        if self.stage == QUEUED:
            self.lane.pool.forget(self)
        begun = self.stage >= ANSWERING
        self.stage = OVER
        self._release(reusable=False)
        if fault.by_upstream:
            if begun:
                self.lane.tally.failures += 1
            else:
                self._record(fault.status)
            request_id = self.head.request_id.decode("latin-1")
            log.warning("%s: %s (request %s)", self.lane.route, fault.detail, request_id)
        if begun:
            self.client.abort()
        else:
            self.client.fail(self, fault)

    def abandon(self) -> None:
        """The client is gone: nothing is counted against anybody."""
        if self.stage == QUEUED:
            self.lane.pool.forget(self)
        self.stage = OVER
        self._release(reusable=False)

    def _release(self, *, reusable: bool) -> None:
        connection, self._conn = self._conn, None
        if connection is not None:
            connection.exchange = None
            if connection.paused:
                connection.resume()
            self.lane.pool.give_back(connection, reusable=reusable)
