"""What the environment has to say, and how its faults are told."""

from __future__ import annotations

import pytest

from extracted.chassis.settings import SettingsError
from extracted.payment.settings import ReconcilerSettings, Settings
from tests.blog import SECRET

LEAST = {
    "DATABASE_URL": "mysql://payment@db/payment",
    "BROKER_URL": "amqp://guest:guest@broker:5672/",
    "JWT_SECRET": SECRET,
    "STRIPE_API_KEY": "sk_test_x",
}


def test_the_least_is_enough() -> None:
    settings = Settings.from_environ(LEAST)
    assert settings.database_url == "mysql+pymysql://payment@db/payment"
    assert settings.stripe_api_base == "https://api.stripe.com"
    assert (settings.stripe_timeout_s, settings.payment_lease_s) == (8, 30)


def test_the_reconciler_needs_neither_tokens_nor_a_broker() -> None:
    names = ("DATABASE_URL", "STRIPE_API_KEY")
    settings = ReconcilerSettings.from_environ({name: LEAST[name] for name in names})
    assert settings.stripe_api_key == "sk_test_x"


def test_every_fault_is_told_at_once() -> None:
    wrong = {
        "DATABASE_URL": "oracle://x",
        "BROKER_URL": "http://x",
        "JWT_SECRET": "short",
        "STRIPE_API_BASE": "stripe",
        "STRIPE_TIMEOUT_S": "soon",
        "PAYMENT_LEASE_S": "0",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(wrong)
    told = {problem.partition(" ")[0] for problem in caught.value.problems}
    assert told == {*wrong, "STRIPE_API_KEY"}


def test_a_lease_that_two_tries_may_outlast_is_told_of_and_taken() -> None:
    assert Settings.from_environ(LEAST).doubts == []
    (doubt,) = Settings.from_environ({**LEAST, "PAYMENT_LEASE_S": "16"}).doubts
    assert doubt.startswith("PAYMENT_LEASE_S is 16 s, and to ask Stripe may take 16 s")


def test_secrets_are_shown_neither_with_the_settings_nor_with_a_fault() -> None:
    assert "sk_test_x" not in repr(Settings.from_environ(LEAST))
    assert SECRET not in repr(Settings.from_environ(LEAST))
    wrong = {
        "DATABASE_URL": "mysql://u:hunter2@h:x/db",
        "BROKER_URL": "amqp://u:hunter2@h:x/",
        "STRIPE_API_BASE": "ftp://u:hunter2@h",
        "JWKS_URL": "https://u:hunter2/x@h",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({**LEAST, **wrong})
    assert len(caught.value.problems) == len(wrong)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://u:p@h:port/",
        "amqp://u:p@h:99999/",
        "amqp://u:p@h/?heartbeat=often",
        "amqp://u:p@[::1/",
    ],
)
def test_a_brokers_address_that_pika_would_not_take_is_told_at_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="BROKER_URL is no broker's address"):
        Settings.from_environ({**LEAST, "BROKER_URL": url})
