"""What the posts service and its consumer need to know, read from the environment once. Opens
nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from extracted.chassis.database import database_url
from extracted.chassis.events import broker_url
from extracted.chassis.serving import MOST as MOST_THREADS
from extracted.chassis.settings import Environment, http_url, whole
from extracted.chassis.tokens import TokenSettings

MONGODB = ("mongodb", "mongodb+srv")
SIGNATURE, AUTH = "signature", "auth"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # it has secrets
class Settings:
    """Sizes are in bytes. With `auth_service_url` tokens are checked by asking there, and without
    it by `tokens`."""

    database_url: str
    broker_url: str
    tokens: TokenSettings | None
    auth_service_url: str | None = None
    image_service_url: str = "http://127.0.0.1:3003"
    max_upload_bytes: int = 16 * 1024 * 1024
    threads: int = 4

    @classmethod
    def from_environ(cls, variables: Mapping[str, str]) -> Settings:
        """Raises SettingsError naming every variable that is missing or wrong."""
        environment = Environment("posts", variables)
        read = environment.read
        asks = read("TOKEN_CHECK", _token_check, SIGNATURE) == AUTH
        settings = cls(
            database_url=read("DATABASE_URL", posts_url),
            broker_url=read("BROKER_URL", broker_url),
            tokens=None if asks else TokenSettings.read(environment),
            auth_service_url=read("AUTH_SERVICE_URL", http_url) if asks else None,
            image_service_url=read("IMAGE_SERVICE_URL", http_url, "http://127.0.0.1:3003"),
            max_upload_bytes=read("MAX_UPLOAD_BYTES", whole(1024, 2**30), "16777216"),
            threads=read("THREADS", whole(1, MOST_THREADS), "4"),
        )
        environment.check()
        return settings


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # it has secrets
class ConsumerSettings:
    """Where the copied names are, and where the news of them comes from."""

    database_url: str
    broker_url: str

    @classmethod
    def from_environ(cls, variables: Mapping[str, str]) -> ConsumerSettings:
        """Raises SettingsError naming every variable that is missing or wrong."""
        environment = Environment("posts", variables)
        settings = cls(
            database_url=environment.read("DATABASE_URL", posts_url),
            broker_url=environment.read("BROKER_URL", broker_url),
        )
        environment.check()
        return settings


def posts_url(text: str) -> str:
    """The address of a database that posts can be kept in. Raises ValueError for any other."""
    parts = urlsplit(text)
    if parts.scheme in MONGODB:
        if not parts.hostname or not parts.path.strip("/"):
            raise ValueError("has no database's name; write mongodb://user@host/posts")
        return text
    url = database_url(text)
    if not url.startswith(("sqlite", "postgresql")):
        raise ValueError("is of another kind; posts are kept in sqlite, postgresql or mongodb")
    return url


def _token_check(text: str) -> str:
    if text not in {SIGNATURE, AUTH}:
        raise ValueError(f"is {text!r}; write {SIGNATURE} or {AUTH}")
    return text
