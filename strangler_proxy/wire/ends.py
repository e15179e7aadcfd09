"""How a request ends where nobody wished it: without an answer, or in the middle of one.

Each way tells what the try said of its upstream, has the request sent again where that may be done,
and otherwise answers with the proxy's own words, or breaks an answer that has begun.
"""

from time import perf_counter
from typing import TYPE_CHECKING

from strangler_proxy.policies.retry import ANSWERED, NOT_SENT, UNHEARD
from strangler_proxy.wire.faults import Fault, bad_gateway, gateway_timeout, overloaded
from strangler_proxy.wire.stage import ANSWERING, QUEUED, SENT
from strangler_proxy.wire.tries import Tries

if TYPE_CHECKING:
    from strangler_proxy.wire.composing import Composing
    from strangler_proxy.wire.observation import Observation
    from strangler_proxy.wire.upstream import UpstreamConnection


class Ends(Tries):
    """The part of an exchange that is told what has gone wrong.

    The exchange gives its attributes their first values: one call less for each request.
    """

    __slots__ = ("_conn", "_kept", "_started", "composing", "seen")

    _conn: "UpstreamConnection | None"
    _kept: bool
    """The connection had been used before: its end may have nothing to do with the request."""
    _started: float
    composing: "Composing | None"
    """What puts the answer together, where no upstream gives it."""
    seen: "Observation | None"

    def unreachable(self, fault: Fault, *, failed: bool | None) -> None:
        """No connection could be opened: nothing was sent. `failed` None: for want of our own."""
        pause = self._pause(NOT_SENT)
        self._tried(failed=failed, goes_on=pause == 0 and self._elsewhere)
        if not self._again(NOT_SENT, pause):
            self.fail(fault)

    def upstream_lost(self, exc: Exception | None) -> None:
        """The upstream's connection is gone before the answer was whole."""
        connection = self._conn
        heard = connection is not None and connection.heard and not self._may_be_surplus
        self._release(reusable=False)
        pause = None if heard else self._pause(UNHEARD)
        failed = None if self._kept and not heard else True
        self._tried(failed=failed, goes_on=pause == 0 and self._elsewhere)
        if self._again(UNHEARD, pause):
            return
        how = f"broke the connection ({exc})" if exc else "closed the connection"
        when = "in the middle of its answer" if heard else "without an answer"
        self.fail(bad_gateway(self.lane.pool.name, f"{how} {when}"))

    @property
    def _may_be_surplus(self) -> bool:
        """Whether what has come may belong to the answer before, and was seen too late."""
        return self._kept and self.stage == SENT

    def thrown_away(self, status: int) -> bool:
        """Whether an answer is not passed on, because the request is sent again instead."""
        retry = self.lane.retry
        if retry is None or status not in retry.statuses:
            return False
        pause = self._pause(ANSWERED)
        if pause is None:
            return False
        self._tried(failed=status in self.lane.pool.failing)  # this may have been one too many
        if not self._again(ANSWERED, pause):
            return False
        self._release(reusable=False)
        return True

    def garbled(self, what: str) -> None:
        """The upstream does not speak HTTP as it should."""
        surplus = self._may_be_surplus
        self._release(reusable=False)
        pause = self._pause(UNHEARD) if surplus else None
        self._tried(failed=True if pause is None else None)
        if self._again(UNHEARD, pause):
            return
        self.fail(bad_gateway(self.lane.pool.name, f"gave an answer that is not HTTP: {what}"))

    def expire(self) -> None:
        """The upstream took too long."""
        name = self.lane.pool.name
        if self.stage == QUEUED:
            self.fail(overloaded(name, "had no connection free in time"))
            return
        self._release(reusable=False)
        self._tried(failed=True)
        if self.stage >= ANSWERING:
            what = f"sent nothing more of its answer for {self.lane.idle_s:g} s"
        else:
            what = f"did not answer in {self.lane.timeout_s:g} s"
        self.fail(gateway_timeout(name, what))

    def run_out(self, total_s: float) -> None:
        """All tries together took too long."""
        asked = self._conn is not None
        self._release(reusable=False)
        self._tried(failed=True if asked else None)
        if self.composing is not None:
            told = f"the parts of the answer were not there in {total_s:g} s"
            self.fail(Fault(504, told, by_upstream=True))
        else:
            self.fail(gateway_timeout(self.lane.pool.name, f"was not done in {total_s:g} s"))

    def _record(self, status: int) -> None:
        self.lane.tally.record(perf_counter() - self._started, status)
        if self.seen is not None:
            self.seen.answered(status, self._conn.endpoint if self._conn is not None else None)

    def _release(self, *, reusable: bool) -> None:
        if self.composing is not None:
            self.composing.drop()
        connection, self._conn = self._conn, None
        if connection is not None:
            connection.exchange = None
            if connection.paused:
                connection.resume()
            connection.endpoint.pool.give_back(connection, reusable=reusable)
