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
