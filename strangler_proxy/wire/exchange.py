"""One request and its answer: which upstream has it, what was sent, and how it may still end."""

import logging
from time import perf_counter
from typing import TYPE_CHECKING

from strangler_proxy.wire.ends import Ends
from strangler_proxy.wire.faults import Fault, overloaded
from strangler_proxy.wire.request import CHUNKED, RequestHead, write_head
from strangler_proxy.wire.stage import (
    ANSWERING,
    GATHERING,
    OVER,
    QUEUED,
    SENT,
    SWITCHING,
    WAITING,
)
from strangler_proxy.wire.tries import REPLAYABLE_BYTES
from strangler_proxy.wire.tunnel import Tunnel

if TYPE_CHECKING:
    from strangler_proxy.wire.client import ClientConnection
    from strangler_proxy.wire.endpoint import Endpoint
    from strangler_proxy.wire.plane import Lane
    from strangler_proxy.wire.upstream import UpstreamConnection

log = logging.getLogger(__name__)
CLIENT_LEFT = Fault(499, "the client left")
MOST_PIECES = 1024
MANY_PIECES = 64
LONG_BYTES = 65_536


class Exchange(Ends):
    """A request on its way through the proxy, from its head to the end of its answer."""

    __slots__ = (
        "answer_lines", "chunked_answer", "extra", "keep_alive", "pending_bytes", "received",
    )  # fmt: skip

    def __init__(self, client: "ClientConnection", head: RequestHead) -> None:
        self.client = client
        self.head = head
        self.stage = WAITING
        self.tries = self.sent = self.body_bytes = 0
        self.probe = 0.0
        self._pending: list[bytes] = []
        self._replay: list[bytes] | None = None
        self._fresh = self._retrying = False
        self._endpoint: Endpoint | None = None
        self._avoid: tuple[Endpoint, ...] = ()
        self.keep_alive = head.keep_alive
        self.received = False
        """The request is here whole."""
        self.chunked_answer = False
        self.pending_bytes = 0
        self._conn = None
        self._kept = False
        self.extra = b""
        """Header lines that the upstream gets besides."""
        self.answer_lines = b""
        """Header lines that the client gets besides."""
        self.seen = None
        self.composing = None

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

    def gathered(self) -> int:
        """How many bytes wait to be sent, their framing included.

        Tiny pieces are put together: each is an object that takes more room than its bytes.
        """
        if len(self._pending) > MOST_PIECES:
            self._pending = [b"".join(self._pending)]
        return sum(map(len, self._pending))

    @property
    def waits_for_word(self) -> bool:
        """Whether the client may be waiting for the upstream's 100 before it sends the body."""
        connection = self._conn
        heard = connection is not None and connection.heard
        return self.head.expects and not self.body_bytes and not heard

    # --- finding an upstream

    def start(self) -> None:
        """Have somebody chosen who answers."""
        plane, head = self.client.plane, self.head
        self._started = perf_counter()
        if not head.request_id:
            head.request_id = plane.new_id()
        plane.dispatch(self)

    def go(self, lane: "Lane") -> None:
        """Send the request this way."""
        self.lane = lane
        head = self.head
        self._pending.insert(0, write_head(head, self.client.identity(head) + self.extra))
        # A connection that the server is about to close looks like any other. A request that must
        # not be repeated does not take that risk, unless the upstream's settings say so.
        # Nor does a probe: it must not fail for what has nothing to do with the upstream.
        risky = not head.idempotent and lane.pool.upstream.reuse == "safe"
        self._fresh = risky or self.probe != 0.0
        self.acquire()

    def acquire(self) -> None:
        """Ask the pool for a connection; `connected` or `fail` follows, perhaps at once."""
        pool = self.lane.pool
        endpoint = self._endpoint = pool.only or pool.choose(self._avoid)
        if endpoint is None:
            self.fail(overloaded(pool.name, "has no address that may be asked"))
            return
        connection = None if self._fresh else endpoint.lend(self.client.plane.now)
        if connection is not None:
            pool.in_use += 1
            self._kept = True
            self.connected(connection)
            return
        self._kept = False
        self.client.wait_forever()  # the attempt to connect has a bound of its own
        pool.open(self, endpoint)
        if self.stage == QUEUED:
            self._endpoint = None
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
        if client.arriving is not None and not connection.write_blocked:
            client.arriving.let_go()
        if self.received:
            client.deadline = client.plane.clock() + self.lane.timeout_s
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
            self._replay = pieces if self.body_bytes <= REPLAYABLE_BYTES else []
        elif self.body_bytes <= REPLAYABLE_BYTES and self.head.idempotent:
            self._replay = self._replay + pieces
        if len(pieces) == 1:
            connection.transport.write(pieces[0])
        elif self.pending_bytes > LONG_BYTES and len(pieces) < MANY_PIECES:
            connection.transport.writelines(pieces)  # to copy so much costs more than it saves
        else:
            connection.transport.write(b"".join(pieces))
        self._pending, self.pending_bytes = [], 0
        return True

    @property
    def blocked(self) -> bool:
        """Whether the client should send no more for now."""
        connection = self._conn
        if connection is None:
            return self.pending_bytes > 0 and self.stage != GATHERING
        return connection.write_blocked

    def upstream_ready(self) -> None:
        """The upstream takes more again."""
        if self.client.arriving is not None:
            self.client.arriving.let_go()
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
        lane = self.lane
        lane.tally.record(perf_counter() - self._started, status)
        if self.seen is not None:
            self.seen.answered(status, self._conn.endpoint if self._conn is not None else None)
        if lane.pool.watched:
            self._judge_head(status)
        out = [b"HTTP/1.1", passing]
        if self.answer_lines:
            out.append(self.answer_lines)
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

    def _judge_head(self, status: int) -> None:
        pool, endpoint = self.lane.pool, self._endpoint
        if status >= 400 and status in pool.failing:
            self._tried(failed=True)
        elif self.probe and endpoint is not None:
            # The upstream is back; the rest of such an answer may take hours.
            pool.judge(endpoint, failed=False, probe=self.probe)
            self.probe = 0.0

    def finish(self, out: list[bytes], *, reusable: bool) -> None:
        """Hand the last of the answer to the client, and the connection back to its pool."""
        client, connection, seen = self.client, self._conn, self.seen
        # First, for the client may give the answer up as it takes the last of it.
        self.stage, self._conn = OVER, None
        client.write_answer(out)
        if connection is not None:
            connection.exchange = None
            if connection.paused:
                connection.resume()
            pool = connection.endpoint.pool
            if pool.watched or self._retrying:
                self._tried(failed=False)
            whole = self.received and not self._pending
            pool.give_back(connection, reusable=reusable and whole)
        if seen is not None:
            seen.sent(out)
            seen.end()
        client.finished(self)

    def switch(self, leftover: bytes) -> None:
        """Both sides have left HTTP (101): from here on bytes pass as they are."""
        connection, self._conn = self._conn, None
        if connection is None:
            return
        connection.exchange = None
        self.stage = OVER
        self._tried(failed=False)
        if self.seen is not None:
            self.seen.end()
        Tunnel(self.client, connection).start(leftover)

    # --- ends that nobody wished for; the ways there are in ends.py

    def fail(self, fault: Fault) -> None:
        """End with an answer of the proxy's own, or by breaking an answer that has begun."""
        if self.stage == QUEUED:
            self.lane.pool.forget(self)
        begun = self.stage >= ANSWERING
        self.stage = OVER
        self._release(reusable=False)
        self._tried(failed=None)
        if fault.by_upstream:
            if begun:
                self.lane.tally.failures += 1
            else:
                self._record(fault.status)
            request_id = self.head.request_id.decode("latin-1")
            log.warning("%s: %s (request %s)", self.lane.route, fault.detail, request_id)
        if self.seen is not None:
            self.seen.end(fault, begun=begun)
        if begun:
            self.client.abort()
        else:
            self.client.fail(self, fault)

    def abandon(self) -> None:
        """The client is gone: nothing is counted against anybody."""
        if self.stage == GATHERING:
            self.client.plane.observe(self)
        if self.stage == QUEUED:
            self.lane.pool.forget(self)
        self.stage = OVER
        self._release(reusable=False)
        self._tried(failed=None)
        if self.seen is not None:
            self.seen.end(CLIENT_LEFT)
