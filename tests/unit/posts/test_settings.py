"""What the posts service takes from its environment, and what it says when that is wrong."""

from __future__ import annotations

import pytest

from extracted.chassis.settings import SettingsError
from extracted.posts.settings import ConsumerSettings, Settings, posts_url

GOOD = {
    "DATABASE_URL": "postgres://posts@db/posts",
    "BROKER_URL": "amqp://guest:guest@mq:5672/",
    "JWT_SECRET": "s" * 32,
}


def test_the_few_that_are_needed_are_enough() -> None:
    settings = Settings.from_environ(GOOD)
    assert settings.database_url == "postgresql+psycopg://posts@db/posts"
    assert settings.auth_service_url is None
    assert settings.image_service_url == "http://127.0.0.1:3003"


def test_asking_the_auth_service_needs_its_address_and_no_secret() -> None:
    environ = {**GOOD, "JWT_SECRET": "", "TOKEN_CHECK": "auth"}
    with pytest.raises(SettingsError, match="AUTH_SERVICE_URL is not set"):
        Settings.from_environ(environ)
    settings = Settings.from_environ({**environ, "AUTH_SERVICE_URL": "http://auth:3001/"})
    assert (settings.tokens, settings.auth_service_url) == (None, "http://auth:3001")


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({"TOKEN_CHECK": "never", "IMAGE_SERVICE_URL": "x"})
    told = str(caught.value)
    for name in ("TOKEN_CHECK", "IMAGE_SERVICE_URL", "DATABASE_URL", "BROKER_URL", "JWT_SECRET"):
        assert name in told


def test_the_consumer_needs_two_addresses_and_no_secret() -> None:
    assert ConsumerSettings.from_environ(GOOD).broker_url == GOOD["BROKER_URL"]
    with pytest.raises(SettingsError, match="BROKER_URL"):
        ConsumerSettings.from_environ({"DATABASE_URL": "sqlite:///posts.db"})


@pytest.mark.parametrize("url", ["mongodb://m/posts", "mongodb+srv://m.example/posts?x=1"])
def test_mongodb_needs_a_databases_name(url: str) -> None:
    assert posts_url(url) == url
    with pytest.raises(ValueError, match="database's name"):
        posts_url("mongodb://m:27017/?replicaSet=r")


@pytest.mark.parametrize("url", ["mysql://root@db/posts", "oracle://x", "posts.db"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        posts_url(url)
