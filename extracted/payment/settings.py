"""What the payment service needs to know, read from the environment once. Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from extracted.chassis.database import database_url
from extracted.chassis.events import broker_url
from extracted.chassis.settings import Environment, http_url
from extracted.chassis.tokens import TokenSettings

LONGEST_S = 600.0
TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # it has secrets
class ReconcilerSettings:
    """The payments and Stripe: what bringing payments to an end needs. Times are in seconds."""

    database_url: str
    stripe_api_key: str
    stripe_api_base: str = "https://api.stripe.com"
    stripe_timeout_s: float = 8.0
    payment_lease_s: float = 30.0

    @property
    def doubts(self) -> list[str]:
        """What can be done with, and is hardly meant."""
        asking_s = TRIES * self.stripe_timeout_s
        if self.payment_lease_s > asking_s:
            return []
        told = f"PAYMENT_LEASE_S is {self.payment_lease_s:g} s, and to ask Stripe may take"
        return [f"{told} {asking_s:g} s: a second attempt may begin meanwhile, under the same key"]

    @classmethod
    def from_environ(cls, variables: Mapping[str, str]) -> ReconcilerSettings:
        """Raises SettingsError naming every variable that is missing or wrong."""
        environment = Environment("payment", variables)
        settings = ReconcilerSettings(**_read(environment))
        environment.check()
        return settings


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # it has secrets
class Settings(ReconcilerSettings):
    """The same, and what serving requests and telling of payments needs."""

    tokens: TokenSettings
    broker_url: str

    @classmethod
    def from_environ(cls, variables: Mapping[str, str]) -> Settings:
        """Raises SettingsError naming every variable that is missing or wrong."""
        environment = Environment("payment", variables)
        settings = Settings(
            tokens=TokenSettings.read(environment),
            broker_url=environment.read("BROKER_URL", broker_url),
            **_read(environment),
        )
        environment.check()
        return settings


def _read(environment: Environment) -> dict[str, Any]:
    read = environment.read
    return {
        "database_url": read("DATABASE_URL", database_url),
        "stripe_api_key": read("STRIPE_API_KEY", str),
        "stripe_api_base": read("STRIPE_API_BASE", http_url, "https://api.stripe.com"),
        "stripe_timeout_s": read("STRIPE_TIMEOUT_S", _seconds, "8"),
        "payment_lease_s": read("PAYMENT_LEASE_S", _seconds, "30"),
    }


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"is {text!r}; write a number of seconds") from None
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"is {text}; it must be above 0 and at most {LONGEST_S:g} seconds")
    return seconds
