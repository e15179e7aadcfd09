"""How often it may be tried to log in or to register.

Logins are counted by what was typed as the address of an account, so that one that does not exist
is limited like any other: from one client, and from all together. And they are counted by the
client alone, whichever accounts it tries, so that one password cannot be tried on everybody. Every
try counts before its password is looked at. A login that succeeds ends the counts of its account,
and of its client's takes back itself alone: an account of one's own must not be good for guessing
further. Nobody is locked out for longer than a window. The limits for one client are reached before
that for all, and what they refuse is not counted there, so that somebody who guesses from one place
does not shut the owner out.
"""

from __future__ import annotations

import hashlib

from limits import RateLimitItem

from extracted.auth.clients import counted_as
from extracted.auth.counting import Counts
from extracted.auth.service import TooManyLoginsError, TooManyRegistrationsError


class LoginThrottle:
    """See `service.LoginLimit`. `on_account` is for one account from one client, `of_client` for
    all accounts from one client, `of_account` for one account from all clients."""

    def __init__(
        self,
        counts: Counts,
        *,
        on_account: RateLimitItem,
        of_client: RateLimitItem,
        of_account: RateLimitItem,
    ) -> None:
        self._counts = counts
        self._on_account = on_account
        self._of_client = of_client
        self._of_account = of_account

    def admit(self, email: str, client: str) -> None:
        """See `service.LoginLimit`."""
        both, account, who = _keys(email, client)
        for item, key in (
            (self._on_account, both),
            (self._of_client, who),
            (self._of_account, account),
        ):
            if wait_s := self._counts.hit(item, key):
                raise TooManyLoginsError(wait_s)

    def forget(self, email: str, client: str) -> None:
        """See `service.LoginLimit`."""
        both, account, who = _keys(email, client)
        self._counts.clear(self._on_account, both)
        self._counts.clear(self._of_account, account)
        self._counts.give_back(self._of_client, who)


class RegisterThrottle:
    """See `service.RegisterLimit`."""

    def __init__(self, counts: Counts, of_client: RateLimitItem) -> None:
        self._counts = counts
        self._of_client = of_client

    def admit(self, client: str) -> None:
        """See `service.RegisterLimit`."""
        if wait_s := self._counts.hit(self._of_client, f"register/{counted_as(client)}"):
            raise TooManyRegistrationsError(wait_s)


def _keys(email: str, client: str) -> tuple[str, str, str]:
    """Of the account from the client, of the account, and of the client."""
    # Digests: the store is to keep no addresses of people.
    account = hashlib.sha256(email.encode("utf-8", "surrogatepass")).hexdigest()
    who = counted_as(client)
    return f"client/{who}/{account}", f"all/{account}", f"any/{who}"
