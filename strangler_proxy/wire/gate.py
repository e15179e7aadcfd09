"""What a request must pass at a route with conditions: token, limits, then the choice of a side.

Each condition is met at once or waited for; what is waited for has a bound, and whoever has left
meanwhile is not sent on. Routes without conditions never come here.
"""

import logging
from typing import TYPE_CHECKING

from strangler_proxy.config import RateLimit, Route
from strangler_proxy.policies.breaker import OPEN
from strangler_proxy.routing import Decision, Entry, forced, instead
from strangler_proxy.wire.caller import cookie, without_cookie
from strangler_proxy.wire.exchange import Exchange
from strangler_proxy.wire.faults import Fault, too_many, unauthorized, unavailable
from strangler_proxy.wire.headers import fields
from strangler_proxy.wire.stage import WAITING

if TYPE_CHECKING:
    from strangler_proxy.policies.rate_limit import Verdict
    from strangler_proxy.policies.tokens import Rejected, UnknownKey, Verified, Verifier
    from strangler_proxy.wire.plane import DataPlane, Lane

log = logging.getLogger(__name__)
SIDE_COOKIE = b"strangler_side"


class Gate:
    """One request on its way through the conditions of its route."""

    __slots__ = ("_entry", "_exchange", "_plane", "_side", "_subject")

    def __init__(self, plane: "DataPlane", exchange: Exchange, entry: Entry) -> None:
        self._plane = plane
        self._exchange = exchange
        self._entry = entry
        self._side: str | None = None
        self._subject: str | None = None

    def enter(self) -> None:
        """Go on to an upstream or a composition, or end with a refusal; perhaps at once."""
        equipment = self._plane.equipment
        self.observe()
        if equipment.secret is not None:
            self._read_side()
        route = self._entry.route
        if route is not None and route.token is not None:
            self._check_token(route, equipment.verifiers[route.token.check])
        else:
            self._check_limits()

    def turn_away(self, fault: Fault, reason: str) -> None:
        """End with a refusal before any condition was looked at."""
        self.observe()
        self._refuse(fault, reason)

    def _refuse(self, fault: Fault, reason: str) -> None:
        self._plane.note("refused", self._entry.name, reason)
        if self._exchange.seen is not None:
            self._exchange.seen.reason = reason
        self._exchange.fail(fault)

    def observe(self) -> None:
        """Have the request looked at from here on, if there is a log or a trace to tell of it."""
        if self._plane.equipment.sees:
            from strangler_proxy.wire.observation import Observation

            self._exchange.seen = Observation(self._exchange, self._entry)

    # --- who asks

    def _read_side(self) -> None:
        head, equipment = self._exchange.head, self._plane.equipment
        given = head.side
        if (baked := cookie(head, SIDE_COOKIE)) is not None:
            head.lines = without_cookie(head.lines, SIDE_COOKIE)  # no upstream learns the secret
            given = given or baked
        if given:
            head.side = given  # the parts of a composed answer are on that side too
            self._side = equipment.side(given)

    def _check_token(self, route: Route, verifier: "Verifier") -> None:
        from strangler_proxy.policies.tokens import UnknownKey

        outcome = self._verify(verifier)
        if type(outcome) is UnknownKey:
            self._exchange.client.wait_forever()  # fetching keys has a bound of its own
            self._plane.wait_for(self._exchange, self._ask_for_key(route, verifier))
        else:
            self._judge_token(route, outcome)

    async def _ask_for_key(self, route: Route, verifier: "Verifier") -> None:
        from strangler_proxy.policies.tokens import UnknownKey

        url, refresh = verifier.settings.jwks, self._plane.outside.refresh_keys
        if url is not None and refresh is not None:
            await refresh(url)
        if self._exchange.stage != WAITING:
            return  # the client has left
        outcome = self._verify(verifier)
        if type(outcome) is UnknownKey and not verifier.ready:
            self._refuse(unavailable("the keys that tokens are verified by cannot be had"), "keys")
        else:
            self._judge_token(route, outcome)

    def _verify(self, verifier: "Verifier") -> "Verified | Rejected | UnknownKey":
        from strangler_proxy.policies.tokens import MALFORMED

        lines = fields(self._exchange.head.lines)
        given = [value for name, value in lines if name.lower() == b"authorization"]
        if len(given) > 1:
            return MALFORMED  # an upstream might believe the other one
        return verifier.verify(given[0] if given else None, self._plane.outside.wall())

    def _judge_token(self, route: Route, outcome: "Verified | Rejected | UnknownKey") -> None:
        from strangler_proxy.policies.tokens import Rejected, Verified

        if isinstance(outcome, Verified):
            self._subject = outcome.subject
            self._exchange.extra += outcome.headers
            self._check_limits()
            return
        rejected = outcome if isinstance(outcome, Rejected) else outcome.rejected
        if rejected.error == "missing" and route.token is not None and route.token.optional:
            self._check_limits()
        else:
            self._refuse(unauthorized(rejected.description, rejected.challenge), "token")

    # --- how often

    def _check_limits(self) -> None:
        route, limiter = self._entry.route, self._plane.equipment.limiter
        if route is None or not route.rate_limit or limiter is None:
            self._choose()
            return
        callers = tuple(self._counted_as(limit) for limit in route.rate_limit)
        verdict = limiter.check(route.name, route.rate_limit, callers)
        if limiter.redis_down:
            self._plane.note("limit-store-down", "")
        if hasattr(verdict, "__await__"):
            self._exchange.client.wait_forever()  # the store has a bound of its own
            self._plane.wait_for(self._exchange, self._await_verdict(verdict))
        else:
            self._judge_limits(verdict)

    async def _await_verdict(self, verdict: "object") -> None:
        decided = await verdict  # type: ignore[misc]  # checked where it came from
        if self._exchange.stage == WAITING:
            self._judge_limits(decided)

    def _judge_limits(self, verdict: "Verdict") -> None:
        if verdict.allowed:
            self._exchange.answer_lines += verdict.headers
            self._choose()
        elif verdict.unavailable:
            self._refuse(unavailable("requests cannot be counted at the moment"), "limit-store")
        else:
            seconds = verdict.retry_after_s or 1
            told = f"too many requests: ask again in {seconds} s"
            self._refuse(too_many(told, seconds, verdict.headers), "rate-limit")

    def _counted_as(self, limit: RateLimit) -> bytes:
        return b"" if limit.by == "route" else self._known_by(limit.by)

    def _known_by(self, key: str) -> bytes:
        exchange = self._exchange
        if key == "subject":
            if self._subject is not None:
                return self._subject.encode("utf-8", "surrogatepass")
            key = "client"
        return exchange.client.caller(exchange.head, key)

    # --- who answers

    def _choose(self) -> None:
        entry, plane, exchange = self._entry, self._plane, self._exchange
        route = entry.route
        if exchange.seen is not None:
            exchange.seen.subject = self._subject
        if route is not None and route.total_s is not None:
            plane.bound(exchange, route.total_s)
        if route is not None and route.compose is not None:
            plane.compose(exchange, entry, route.compose)
            return
        decision = forced(route, self._side) if route is not None and self._side else None
        if decision is None:
            decision = entry.fixed or entry.decide(self._known_by(entry.serve.sticky))
        admitted = self._admit(decision)
        if admitted is None and (other := instead(route, decision)) is not None:
            plane.note("fallback", entry.name, decision.upstream)
            refused, decision = decision, other
            admitted = self._admit(decision)
            if admitted is None:
                decision = refused
        if admitted is None:
            self._refuse_open(plane.lane(entry, decision.upstream))
            return
        if exchange.seen is not None:
            exchange.seen.reason = decision.reason
        exchange.go(admitted)

    def _admit(self, decision: Decision) -> "Lane | None":
        """The way to the chosen upstream; None while nothing is sent there."""
        lane = self._plane.lane(self._entry, decision.upstream)
        pool = lane.pool
        if not pool.may_be_asked:
            return None
        if pool.breaker is not None:
            longest_s = pool.upstream.connect_timeout_s + lane.timeout_s
            admitted = pool.breaker.admit(self._plane.now, longest_s)
            if admitted == OPEN:
                return None
            self._exchange.probe = admitted
        return lane

    def _refuse_open(self, lane: "Lane") -> None:
        pool = lane.pool
        if pool.breaker is not None and pool.may_be_asked:
            seconds = int(pool.breaker.wait_s(self._plane.now)) + 1
            why = "is held back by an operator" if pool.breaker.forced else "has failed too often"
            told = f"upstream '{pool.name}' {why}, and is not asked for now"
            self._refuse(unavailable(told, seconds), "breaker")
        else:
            self._refuse(
                unavailable(f"no address of upstream '{pool.name}' is known"), "no-address"
            )
