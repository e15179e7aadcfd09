"""What is seen of an exchange, for the access log and the trace; made only where one is kept."""

from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING

from strangler_proxy.routing import Entry
from strangler_proxy.wire.access_log import Record
from strangler_proxy.wire.headers import fields, without
from strangler_proxy.wire.tracing import TRACEPARENT, TRACESTATE, Outcome, Span, Tracer

if TYPE_CHECKING:
    from strangler_proxy.wire.endpoint import Endpoint
    from strangler_proxy.wire.exchange import Exchange
    from strangler_proxy.wire.faults import Fault

CLIENT_LEFT = 499
"""In the log, as nginx has it: nobody was there to be answered."""


class Observation:
    """One exchange, from its head to its end."""

    __slots__ = (
        "_address", "_began_unix_s", "_ended", "_entry", "_exchange", "_sent_bytes", "_span",
        "_started", "_status", "_upstream", "reason", "subject",
    )  # fmt: skip

    def __init__(self, exchange: "Exchange", entry: Entry) -> None:
        plane = exchange.client.plane
        self._exchange = exchange
        self._entry = entry
        self._began_unix_s = plane.outside.wall()
        self._started = perf_counter()
        self._ended = False
        self._status: int | None = None
        self._sent_bytes = 0
        self._upstream: str | None = None
        self._address: str | None = None
        self.reason = ""
        """Why this side answered."""
        self.subject: str | None = None
        """Whom a verified token names."""
        tracer = plane.equipment.tracer
        self._span = None if tracer is None else _begin(exchange, tracer)

    def answered(self, status: int, endpoint: "Endpoint | None") -> None:
        """An answer's head is there, or the proxy's own."""
        self._status = status
        if endpoint is not None:
            self._upstream, self._address = endpoint.pool.name, str(endpoint.address)

    def sent(self, pieces: Iterable[bytes]) -> None:
        """So much of an answer was written."""
        self._sent_bytes += sum(map(len, pieces))

    def end(self, fault: "Fault | None" = None, *, begun: bool = False) -> None:
        """The exchange is over; `begun`: its answer had begun before the fault."""
        if self._ended:
            return
        self._ended = True
        status = self._status or 0
        if fault is not None and not begun:
            status = fault.status
        equipment = self._exchange.client.plane.equipment
        log, tracer = equipment.log, equipment.tracer
        request_id = self._exchange.head.request_id
        # A part of a composed answer is no answer to a client; its span shows it.
        if log is not None and not self._exchange.client.is_part and log.wants(request_id, status):
            log.write(self._record(status, fault))
        if tracer is not None and self._span is not None and tracer.exports(self._span):
            tracer.end(self._span, self._outcome(status, fault))

    def _record(self, status: int, fault: "Fault | None") -> Record:
        exchange, span = self._exchange, self._span
        head = exchange.head
        return Record(
            time_unix_s=self._began_unix_s,
            client=self._client(),
            method=head.method,
            target=head.target,
            route=self._entry.name,
            upstream=self._upstream,
            status=status,
            duration_s=perf_counter() - self._started,
            request_id=head.request_id,
            address=self._address,
            sent_bytes=self._sent_bytes or None,
            trace_id=None if span is None else span.context.trace_id,
            tries=exchange.tries + 1,
            reason=self.reason,
            fault=None if fault is None else fault.detail,
            subject=self.subject,
            headers=fields(head.lines),
        )

    def _outcome(self, status: int, fault: "Fault | None") -> Outcome:
        route, head = self._entry.route, self._exchange.head
        left = status == CLIENT_LEFT
        return Outcome(
            method=head.method,
            path=head.path,
            status=None if left else status,
            route=None if route is None else route.rule,
            client=self._client(),
            upstream=self._upstream,
            address=self._address,
            error="client left" if left else None if fault is None else str(fault.status),
        )

    def _client(self) -> str:
        exchange = self._exchange
        return exchange.client.caller(exchange.head, "address").decode("latin-1")


def _begin(exchange: "Exchange", tracer: Tracer) -> Span:
    """Give the request its place in a trace; what goes upstream names that, and no other."""
    head = exchange.head
    given = [value for name, value in fields(head.lines) if name.lower() == TRACEPARENT]
    span = tracer.start(given)
    dropped = {TRACEPARENT} if span.parent is not None else {TRACEPARENT, TRACESTATE}
    kept = without(head.lines, frozenset(dropped))
    head.lines = [*kept, TRACEPARENT, b": ", span.context.traceparent, b"\r\n"]
    return span
