from __future__ import annotations

from pathlib import Path

import pytest

from extracted.auth.settings import Settings
from extracted.chassis.settings import SettingsError

GOOD = {
    "DATABASE_URL": "postgresql://auth@db/auth",
    "BROKER_URL": "sqlite:////var/events.db",
    "SIGNING_KEYS": "/run/keys",
}


def test_a_good_environment_is_read_with_its_defaults() -> None:
    settings = Settings.from_environ(GOOD)
    assert settings.database_url == "postgresql+psycopg://auth@db/auth"
    assert settings.signing_keys == Path("/run/keys")
    assert settings == Settings(
        database_url=settings.database_url,
        broker_url=settings.broker_url,
        signing_keys=settings.signing_keys,
    )


def test_what_has_no_default_is_asked_for_and_no_secret_has_one() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({})
    assert caught.value.problems == [f"{name} is not set" for name in GOOD]
    assert Settings.from_environ(GOOD).jwt_secret is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "oracle://x"),
        ("BROKER_URL", "redis://x"),
        ("JWT_SECRET", "x" * 31),
        ("TOKEN_TTL_S", "0"),
        ("SIGNING_DELAY_S", "9"),
        ("BCRYPT_ROUNDS", "3"),
        ("LOGIN_LIMIT", "often"),
        ("LOGIN_LIMIT", "10/minute; 100/hour"),
        ("LOGIN_LIMIT", "0/minute"),
        ("LOGIN_ACCOUNT_LIMIT", "10"),
        ("LOGIN_CLIENT_LIMIT", "-1/minute"),
        ("REGISTER_LIMIT", "0/hour"),
        ("RATE_LIMIT_URL", "memcached://x"),
        ("TRUSTED_PROXY", "proxy"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({**GOOD, name: value})
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{name} ")
