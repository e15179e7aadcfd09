"""The auth seam: the tokens that the auth service signs, and the users that it has registered.

Its users come back into the monolith's own table a moment after they are made there. A request that
is faster than its user's row waits for it, before anything is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, select

from extracted.chassis.errors import Refusal
from extracted.chassis.tokens import TokenSettings, TokenVerifier
from monolith.errors import ApiError
from monolith.models import User
from monolith.seams.switch import Switch

WAIT_S = 2.0
POLL_S = 0.05


class RemoteTokens:
    """Checks the auth service's tokens by its published keys (`auth.tokens.SignedElsewhere`)."""

    def __init__(self, verifier: TokenVerifier, arrivals: Arrivals) -> None:
        self._verifier = verifier
        self._arrivals = arrivals

    @classmethod
    def by_keys_at(
        cls, jwks_url: str, cache: Path | None, switch: Switch, engine: Engine
    ) -> RemoteTokens:
        """Check them by the keys at this address, which are kept in the file `cache` too."""
        settings = TokenSettings(jwks_url=jwks_url, jwks_cache=cache)
        return cls(settings.verifier(), Arrivals(switch, engine))

    def start(self) -> None:
        """Begin to fetch the keys, in a thread: auth may be gone when a token needs them."""
        self._verifier.start()

    def close(self) -> None:
        """End that."""
        self._verifier.stop()

    def user_id(self, token: str) -> int:
        """See `auth.tokens.SignedElsewhere`; 503 also when the user's row has not come yet."""
        try:
            user_id = self._verifier.caller(token).user_id
        except Refusal as refusal:
            raise ApiError(refusal.status, headers=refusal.headers, **refusal.error) from refusal
        self._arrivals.wait_for(user_id)
        return user_id


class Arrivals:
    """Waits for rows of users to come from the auth service, while that answers for accounts.

    While the monolith does, all its users are here, and a missing one is none.
    """

    def __init__(
        self,
        switch: Switch,
        engine: Engine,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._switch = switch
        self._engine = engine
        self._clock = clock
        self._sleep = sleep

    def wait_for(self, user_id: int) -> None:
        """Return when the user's row is here. Raises ApiError 503 when it does not come in time."""
        if self._switch.mode("auth") == "local":
            return
        give_up = self._clock() + WAIT_S
        while not self._is_here(user_id):
            if self._clock() >= give_up:
                raise _not_yet_known()
            self._sleep(POLL_S)

    def _is_here(self, user_id: int) -> bool:
        # A connection for each look: a transaction that stays open might not see the row come.
        with self._engine.connect() as connection:
            return connection.scalar(select(User.id).where(User.id == user_id)) is not None


def _not_yet_known() -> ApiError:
    message = "The account is so new that it is not known here yet; try again in a moment."
    return ApiError(503, "user_not_yet_known", message, headers={"Retry-After": "2"})
