from __future__ import annotations

import pytest

from monolith.settings import Settings, SettingsError, database_url

GOOD = {
    "JWT_SECRET": "x" * 32,
    "S3_BUCKET": "blog",
    "SMTP_URL": "smtp://127.0.0.1:25",
    "MAIL_FROM": "blog@example.org",
    "STRIPE_API_KEY": "sk_test_x",
}


def test_a_good_environment_is_read_with_its_defaults() -> None:
    settings = Settings.from_environ(GOOD)
    assert settings.database_url == "sqlite:///var/blog.db"
    assert settings.stripe_api_base == "https://api.stripe.com"
    assert settings.seams_file is None


def test_an_empty_environment_is_told_all_that_is_missing() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({})
    assert caught.value.problems == [f"{name} is not set" for name in GOOD]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "oracle://x"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mysql://blog@db:hush/blog"),
        ("DATABASE_URL", "mysql+nonsense://db/blog"),
        ("JWT_SECRET", "x" * 31),
        ("S3_ENDPOINT_URL", "ftp://x"),
        ("SMTP_URL", "127.0.0.1:25"),
        ("MAIL_FROM", "nobody"),
        ("STRIPE_API_BASE", "localhost"),
        ("AUTH_SERVICE_URL", "localhost:3001"),
        ("AUTH_JWKS_URL", "jwks.json"),
        ("BCRYPT_ROUNDS", "3"),
        ("SMTP_TIMEOUT_S", "soon"),
        ("SMTP_TIMEOUT_S", "0"),
        ("MAX_UPLOAD_BYTES", "1e6"),
        ("PICTURES_AT_ONCE", "0"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({**GOOD, name: value})
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{name} ")


def test_where_the_auth_service_publishes_its_keys_follows_from_its_address() -> None:
    def jwks_url(**variables: str) -> str | None:
        return Settings.from_environ({**GOOD, **variables}).auth_jwks_url

    assert jwks_url() is None
    assert jwks_url(AUTH_SERVICE_URL="http://auth:3001/") == (
        "http://auth:3001/.well-known/jwks.json"
    )
    assert jwks_url(AUTH_SERVICE_URL="http://auth", AUTH_JWKS_URL="http://cdn/k") == "http://cdn/k"


def test_half_a_pair_of_keys_is_refused() -> None:
    with pytest.raises(SettingsError, match="go together"):
        Settings.from_environ({**GOOD, "AWS_ACCESS_KEY_ID": "x"})


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p%40ss@h/d", "postgresql+psycopg://u:p%40ss@h/d"),
        ("postgresql://h/d", "postgresql+psycopg://h/d"),
        ("mysql://h/d", "mysql+pymysql://h/d"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_a_database_is_reached_by_the_installed_driver(given: str, used: str) -> None:
    assert database_url(given) == used


def test_secrets_are_shown_neither_with_the_settings_nor_with_a_fault() -> None:
    assert GOOD["JWT_SECRET"] not in repr(Settings.from_environ(GOOD))
    wrong = dict.fromkeys(("STRIPE_API_BASE", "SMTP_URL"), "ftp://u:hunter2@h")
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({**GOOD, **wrong, "IMAGE_SERVICE_URL": "http://u:hunter2/x@h"})
    assert len(caught.value.problems) == 3
    assert "hunter2" not in str(caught.value)


def test_a_lease_that_two_tries_at_stripe_may_outlast_is_told_of_and_taken() -> None:
    assert Settings.from_environ(GOOD).doubts == []
    (doubt,) = Settings.from_environ({**GOOD, "PAYMENT_LEASE_S": "10"}).doubts
    assert doubt.startswith("PAYMENT_LEASE_S is 10 s, and to ask Stripe may take 16 s")
