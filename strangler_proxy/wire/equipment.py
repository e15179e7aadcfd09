"""What the routes of one configuration use besides routing; what none of them uses is not loaded.

Made whole before anything is served by it, from the last one where nothing has changed: verified
tokens, counts and open files outlive a reload.
"""

import hmac
import os
import re
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from strangler_proxy.config import Config, ConfigError, Problem
from strangler_proxy.routing import Entry
from strangler_proxy.wire.outside import Outside

if TYPE_CHECKING:
    from strangler_proxy.policies.rate_limit import RateLimiter
    from strangler_proxy.policies.tokens import Verifier
    from strangler_proxy.wire.access_log import AccessLog
    from strangler_proxy.wire.tracing import Tracer

_LEAST_SECRET_BYTES = 16
# `candidate <secret>` in the header, `candidate:<secret>` in the cookie; a secret may have both.
_SIDE_END = re.compile(rb"[ :]")


class Closable(Protocol):
    """What holds something open; closing it may take a moment."""

    def close(self) -> Coroutine[Any, Any, None] | None:
        """Let go."""


class Equipment:
    """Verifiers, limiter, log and tracer; raises ConfigError when one cannot be made."""

    def __init__(self, config: Config, outside: Outside, before: "Equipment | None") -> None:
        self._config = config
        self._outside = outside
        problems: list[Problem] = []
        self.log: AccessLog | None = None
        self.tracer: Tracer | None = None
        self.secret = self._force_secret(problems)
        self.verifiers = self._verifiers(before, problems)
        self.limiter = self._limiter(before, problems)
        self.tracer = self._tracer(before, problems)
        if problems:
            raise ConfigError(problems)
        self.log = self._log(before)
        self.sees = self.log is not None or self.tracer is not None
        """Whether each exchange is looked at."""

    def guards(self, entry: Entry) -> bool:
        """Whether requests of this entry have more to pass than the choice of an upstream."""
        route = entry.route
        if self.sees or self.secret is not None:
            return True
        return route is not None and bool(
            route.token
            or route.rate_limit
            or route.compose
            or route.total_s
            or route.when_open == "control"
        )

    def side(self, given: bytes) -> str | None:
        """The side that a request asks for, if what it gives holds the secret."""
        side, *rest = _SIDE_END.split(given, 1)
        secret = rest[0].strip() if rest else b""
        if self.secret is None or not hmac.compare_digest(secret, self.secret):
            return None
        return side.decode("latin-1")

    def retire(self, after: "Equipment") -> list[Closable]:
        """What the next one does not use any more, and must be closed."""
        kept = (after.limiter, after.log, after.tracer)
        ours: tuple[Closable | None, ...] = (self.limiter, self.log, self.tracer)
        return [one for one in ours if one is not None and one not in kept]

    def _force_secret(self, problems: list[Problem]) -> bytes | None:
        force = self._config.force
        if force is None:
            return None
        secret = self._variable(force.secret_env, "force", problems)
        if 0 < len(secret) < _LEAST_SECRET_BYTES:
            told = f"the secret in {force.secret_env} has less than {_LEAST_SECRET_BYTES} bytes"
            problems.append(Problem("", None, "force", told))
        return os.fsencode(secret)  # the variable's bytes, text or not

    def _variable(self, name: str, where: str, problems: list[Problem]) -> str:
        value = self._outside.environ.get(name, "")
        if not value:
            problems.append(Problem("", None, where, f"the variable {name} is not set"))
        return value

    def _verifiers(
        self, before: "Equipment | None", problems: list[Problem]
    ) -> "dict[str, Verifier]":
        if not self._config.tokens:
            return {}
        from strangler_proxy.policies.tokens import Verifier

        made = {}
        for name, settings in self._config.tokens.items():
            old = before.verifiers.get(name) if before else None
            if old is not None and old.settings == settings:
                made[name] = old
                continue
            where, variable = f"tokens.{name}", settings.secret_env
            secret = None
            if variable is not None and not (secret := self._variable(variable, where, problems)):
                continue
            try:
                made[name] = Verifier(settings, secret)
            except ValueError as unfit:
                problems.append(Problem("", None, where, str(unfit)))
        return made

    def _limiter(self, before: "Equipment | None", problems: list[Problem]) -> "RateLimiter | None":
        if not any(route.rate_limit for route in self._config.routes):
            return None
        if (
            before is not None
            and before.limiter is not None
            and before._config.limit_store == self._config.limit_store
        ):
            return before.limiter
        try:
            from strangler_proxy.policies.rate_limit import RateLimiter, StoreUnusable

            try:
                return RateLimiter(self._config.limit_store, self._outside.limits_fd)
            except StoreUnusable as fault:
                problems.append(Problem("", None, "limit_store", str(fault)))
                return None
        except (ImportError, ValueError) as fault:
            problems.append(Problem("", None, "limit_store", str(fault)))
            return None

    def _log(self, before: "Equipment | None") -> "AccessLog | None":
        settings = self._config.access_log
        if settings is None:
            return None
        if before and before.log is not None and before._config.access_log == settings:
            return before.log
        from strangler_proxy.wire.access_log import AccessLog

        return AccessLog(settings)

    def _tracer(self, before: "Equipment | None", problems: list[Problem]) -> "Tracer | None":
        settings = self._config.tracing
        if settings is None:
            return None
        if before and before.tracer is not None and before._config.tracing == settings:
            return before.tracer
        from strangler_proxy.wire.tracing import ExtraMissing, Tracer

        try:
            return Tracer(settings)
        except ExtraMissing as fault:
            problems.append(Problem("", None, "tracing", str(fault)))
            return None
