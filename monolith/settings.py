"""What the environment says, read once into one frozen value. Opens nothing.

Every missing or wrong variable is reported in one error, so that a deployment is
mended in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

DEFAULT_DATABASE_URL = "sqlite:///var/blog.db"
DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
T = TypeVar("T")
MEBIBYTE = 1024 * 1024
STRIPE_TRIES = 2


class SettingsError(ValueError):
    """The environment does not describe a working blog. `problems` has a line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "The monolith cannot start:\n" + "\n".join(f"  - {problem}" for problem in problems)
        )
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Everything the blog needs to know. Times are in seconds, sizes in bytes.

    Not to be printed: it has secrets, and addresses with passwords.
    """

    database_url: str
    jwt_secret: str
    s3_bucket: str
    smtp_url: str
    mail_from: str
    stripe_api_key: str
    stripe_api_base: str = "https://api.stripe.com"
    s3_endpoint_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_region: str = "us-east-1"
    image_service_url: str = "http://127.0.0.1:3003"
    auth_jwks_url: str | None = None
    jwks_cache: Path | None = None
    seams_file: Path | None = None
    token_ttl_s: int = 24 * 3600
    bcrypt_rounds: int = 12
    smtp_timeout_s: float = 3.0
    stripe_timeout_s: float = 8.0
    payment_lease_s: float = 30.0
    max_upload_bytes: int = 16 * MEBIBYTE
    max_image_pixels: int = 50_000_000
    pictures_at_once: int = 1
    threads: int = 8

    @property
    def doubts(self) -> list[str]:
        """What can be done with, and is hardly meant."""
        asking_s = STRIPE_TRIES * self.stripe_timeout_s
        if self.payment_lease_s > asking_s:
            return []
        told = f"PAYMENT_LEASE_S is {self.payment_lease_s:g} s, and to ask Stripe may take"
        return [f"{told} {asking_s:g} s: a second attempt may begin meanwhile, under the same key"]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables.

        Raises:
            SettingsError: naming every variable that is missing or wrong.
        """
        read = Reader(environ)
        settings = cls(
            threads=read.checked("THREADS", "8", whole(1, 1000)),
            database_url=read.checked("DATABASE_URL", DEFAULT_DATABASE_URL, database_url),
            jwt_secret=read.checked("JWT_SECRET", None, _secret),
            s3_bucket=read.checked("S3_BUCKET", None, str),
            s3_endpoint_url=read.checked("S3_ENDPOINT_URL", "", _http_url_or_empty) or None,
            aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID") or None,
            aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY") or None,
            aws_region=read.checked("AWS_DEFAULT_REGION", "us-east-1", str),
            smtp_url=read.checked("SMTP_URL", None, _smtp_url),
            mail_from=read.checked("MAIL_FROM", None, _mail_address),
            stripe_api_key=read.checked("STRIPE_API_KEY", None, str),
            stripe_api_base=read.checked("STRIPE_API_BASE", "https://api.stripe.com", _http_url),
            image_service_url=read.checked("IMAGE_SERVICE_URL", "http://127.0.0.1:3003", _http_url),
            auth_jwks_url=_auth_jwks_url(environ, read),
            jwks_cache=Path(environ["JWKS_CACHE"]) if environ.get("JWKS_CACHE") else None,
            seams_file=Path(environ["SEAMS_FILE"]) if environ.get("SEAMS_FILE") else None,
            token_ttl_s=read.checked("TOKEN_TTL_S", "86400", whole(60, 365 * 86400)),
            bcrypt_rounds=read.checked("BCRYPT_ROUNDS", "12", whole(4, 16)),
            smtp_timeout_s=read.checked("SMTP_TIMEOUT_S", "3", _seconds),
            stripe_timeout_s=read.checked("STRIPE_TIMEOUT_S", "8", _seconds),
            payment_lease_s=read.checked("PAYMENT_LEASE_S", "30", _seconds),
            max_upload_bytes=read.checked("MAX_UPLOAD_BYTES", "16777216", whole(1024, 2**30)),
            max_image_pixels=read.checked("MAX_IMAGE_PIXELS", "50000000", whole(1, 170_000_000)),
            pictures_at_once=read.checked("PICTURES_AT_ONCE", "1", whole(1, 1000)),
        )
        if (settings.aws_access_key_id is None) != (settings.aws_secret_access_key is None):
            read.problems.append(
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: set both, or neither"
            )
        if read.problems:
            raise SettingsError(read.problems)
        return settings


class Reader:
    """Reads variables, noting the faults of all of them in `problems`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def checked(self, name: str, default: str | None, check: Callable[[str], T]) -> T:
        """The variable as `check` understands it; a fault is noted, and the caller reads on."""
        text = self.environ.get(name) or default
        if text is None:
            self.problems.append(f"{name} is not set")
            return None  # type: ignore[return-value]  # never used: the noted problem is raised
        try:
            return check(text)
        except ValueError as error:
            self.problems.append(f"{name} {error}")
            return None  # type: ignore[return-value]  # never used: the noted problem is raised


def _auth_jwks_url(environ: Mapping[str, str], read: Reader) -> str | None:
    """Where the auth service publishes its keys: AUTH_JWKS_URL, or the place at AUTH_SERVICE_URL.

    None when neither is set: its tokens are not accepted then.
    """
    service = read.checked("AUTH_SERVICE_URL", "", _http_url_or_empty)
    default = f"{service}/.well-known/jwks.json" if service else ""
    return read.checked("AUTH_JWKS_URL", default, _http_url_or_empty) or None


def database_url(text: str) -> str:
    """The URL with the driver that this project installs. Raises ValueError for an unusable one."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter for a port
        raise ValueError("is not a database URL such as sqlite:///var/blog.db") from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() not in {"sqlite", "postgresql", "mysql", "mariadb"}:
        raise ValueError(f"names {url.drivername!r}; use sqlite, postgresql or mysql")
    try:
        url.get_dialect().import_dbapi()
    except (ArgumentError, ImportError):
        told = f"names the driver {url.drivername!r}, which is not installed here"
        raise ValueError(f"{told}; write {url.get_backend_name()}://…") from None
    return url.render_as_string(hide_password=False)


def _secret(text: str) -> str:
    if len(text.encode()) < 32:
        raise ValueError("is shorter than 32 bytes; make one with `openssl rand -hex 32`")
    return text


def _http_url(text: str) -> str:
    if not _is_address(text, "http", "https"):
        told = f"is {_without_password(text)!r}, which is not an http:// or https:// address"
        raise ValueError(told)
    return text.rstrip("/")


def _is_address(text: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of an address of IPv6
        return False


def _without_password(text: str) -> str:
    """An address as it may be printed, however wrong it is: without what stands before an `@`."""
    _, at, rest = text.rpartition("@")
    return f"…@{rest}" if at else text


def _http_url_or_empty(text: str) -> str:
    return _http_url(text) if text else ""


def _smtp_url(text: str) -> str:
    if not _is_address(text, "smtp"):
        raise ValueError(f"is {_without_password(text)!r}; write smtp://host:port")
    return text


def _mail_address(text: str) -> str:
    if "@" not in text or any(c in text for c in "\r\n"):
        raise ValueError(f"is {text!r}, which is not a mail address")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"is {text!r}; write a number of seconds") from None
    if not 0 < seconds <= 600:
        raise ValueError(f"is {text}; it must be above 0 and at most 600 seconds")
    return seconds


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers within these bounds."""

    def check(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"is {text!r}; write a whole number from {low} to {high}")
        return int(text)

    return check
