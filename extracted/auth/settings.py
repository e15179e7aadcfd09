"""What the auth service needs to know, read from the environment once. Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import limits
from limits import RateLimitItem

from extracted.auth.clients import Network, networks
from extracted.chassis.database import database_url
from extracted.chassis.events import broker_url
from extracted.chassis.settings import Environment, secret, whole

DAY_S = 86400
LOGIN_LIMIT = limits.parse("10/minute")
LOGIN_CLIENT_LIMIT = limits.parse("100/minute")
LOGIN_ACCOUNT_LIMIT = limits.parse("60/minute")
REGISTER_LIMIT = limits.parse("60/minute")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # it has secrets
class Settings:
    """Times are in seconds.

    `jwt_secret` is the monolith's: with it, the tokens that it has signed are accepted too.
    `signing_delay_s` is how long a new key is published before it signs. `login_limit` is for one
    account from one client, `login_client_limit` for all accounts from one client,
    `login_account_limit` for one account from all clients; `register_limit` is for one client.
    """

    database_url: str
    broker_url: str
    signing_keys: Path
    jwt_secret: str | None = None
    token_ttl_s: int = DAY_S
    signing_delay_s: int = 120
    bcrypt_rounds: int = 12
    login_limit: RateLimitItem = LOGIN_LIMIT
    login_client_limit: RateLimitItem = LOGIN_CLIENT_LIMIT
    login_account_limit: RateLimitItem = LOGIN_ACCOUNT_LIMIT
    register_limit: RateLimitItem = REGISTER_LIMIT
    rate_limit_url: str | None = None
    trusted_proxy: tuple[Network, ...] = ()

    @classmethod
    def from_environ(cls, variables: Mapping[str, str]) -> Settings:
        """Raises SettingsError naming every variable that is missing or wrong."""
        environment = Environment("auth", variables)
        read = environment.read
        settings = cls(
            database_url=read("DATABASE_URL", database_url),
            broker_url=read("BROKER_URL", broker_url),
            signing_keys=read("SIGNING_KEYS", Path),
            jwt_secret=environment.optional("JWT_SECRET", secret),
            token_ttl_s=read("TOKEN_TTL_S", whole(60, 365 * DAY_S), str(DAY_S)),
            signing_delay_s=read("SIGNING_DELAY_S", whole(10, DAY_S), "120"),
            bcrypt_rounds=read("BCRYPT_ROUNDS", whole(4, 16), "12"),
            login_limit=read("LOGIN_LIMIT", _rate, str(LOGIN_LIMIT)),
            login_client_limit=read("LOGIN_CLIENT_LIMIT", _rate, str(LOGIN_CLIENT_LIMIT)),
            login_account_limit=read("LOGIN_ACCOUNT_LIMIT", _rate, str(LOGIN_ACCOUNT_LIMIT)),
            register_limit=read("REGISTER_LIMIT", _rate, str(REGISTER_LIMIT)),
            rate_limit_url=environment.optional("RATE_LIMIT_URL", _redis_url),
            trusted_proxy=environment.optional("TRUSTED_PROXY", networks) or (),
        )
        environment.check()
        return settings


def _rate(text: str) -> RateLimitItem:
    try:
        (rate,) = limits.parse_many(text)
    except ValueError:
        raise ValueError(f"is {text!r}; write a rate such as 10/minute") from None
    if rate.amount < 1:
        raise ValueError(f"is {text!r}; nobody could get in")
    return rate


def _redis_url(text: str) -> str:
    if urlsplit(text).scheme not in {"redis", "rediss"}:
        raise ValueError("is no Redis; write redis://host:6379/0")
    return text
