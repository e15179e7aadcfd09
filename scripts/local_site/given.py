"""What a site's environment is made of: what var/env keeps, what the shell gives, and defaults.

What is kept counts. A variable that is not kept yet is taken from the shell if it is one of TAKEN,
and kept from then on. What the shell says otherwise is told, never passed over in silence. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

TAKEN = (
    *("DATABASE_URL", "AUTH_DATABASE_URL", "POSTS_DATABASE_URL", "PAYMENT_DATABASE_URL"),
    *("BROKER_URL", "CONSUL_URL", "STRANGLER_MOVES", "JWT_SECRET", "LOGIN_LIMIT", "MAIL_FROM"),
    "RATE_LIMIT_URL",
    *("S3_ENDPOINT_URL", "S3_BUCKET", "SMTP_URL", "STRIPE_API_BASE", "PROXY_WORKERS"),
    *("OBJECT_STORE_PORT", "MAIL_SINK_PORT", "STRIPE_DOUBLE_PORT"),
)
# Taken only with the address that they are for: a stand-in is never shown somebody's real keys.
WITH = {
    "AWS_ACCESS_KEY_ID": "S3_ENDPOINT_URL",
    "AWS_SECRET_ACCESS_KEY": "S3_ENDPOINT_URL",
    "AWS_DEFAULT_REGION": "S3_ENDPOINT_URL",
    "STRIPE_API_KEY": "STRIPE_API_BASE",
}
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "STRIPE_API_KEY")
SECRETS = (*KEYS, "JWT_SECRET", "STRANGLER_ADMIN_TOKEN")
# Made anew at every start, of strangler.yaml and of where the site is.
FOLLOWING = (
    *("IMAGE_SERVICE_URL", "AUTH_SERVICE_URL", "JWKS_URL", "SITE_DIR", "STRANGLER_CONFIG"),
    "STRANGLER_LEDGERS",
    *("PROXY_URL", "MONOLITH_BIND", "AUTH_BIND", "POSTS_BIND", "IMAGE_BIND", "PAYMENT_BIND"),
)


@dataclass(frozen=True, slots=True)
class Settled:
    """The environment; which of it was taken from the shell; what is otherwise there, in words;
    and what is lacking, in words too, without which nothing can be started."""

    values: Mapping[str, str]
    taken: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


def settle(made: Mapping[str, str], kept: Mapping[str, str], given: Mapping[str, str]) -> Settled:
    """Decide what counts. `made` are defaults, `given` is the shell's environment."""
    given = {name: value for name, value in given.items() if value}
    values = {**made, **kept, **{name: made[name] for name in FOLLOWING if name in made}}
    new = [name for name in TAKEN if name in given and name not in kept]
    values |= {name: given[name] for name in new}
    elsewhere = {name for name in new if values[name] != made.get(name)}
    companions = [name for name in WITH if name in given and name not in kept]
    new += [name for name in companions if values[WITH[name]] != made.get(WITH[name])]
    values |= {name: given[name] for name in new}
    return Settled(
        values,
        tuple(new),
        tuple(_otherwise(values, kept, given)),
        tuple(
            f"{WITH[key]} leads elsewhere: give {key} with it"
            for key in KEYS
            if WITH[key] in elsewhere and key not in new and key not in kept
        ),
    )


def _otherwise(
    values: Mapping[str, str], kept: Mapping[str, str], given: Mapping[str, str]
) -> Iterator[str]:
    for name, value in values.items():
        if given.get(name, value) == value:
            continue
        if name in FOLLOWING:
            why = "follows strangler.yaml and the site's folder"
        elif name in kept:
            why = "was kept at the first start, and counts: change it in the file"
        elif name in WITH:
            why = f"is the stand-in's: give {WITH[name]} too"
        else:
            why = "is the site's own"
        yield f"{shown(name, given[name])} is given, but {shown(name, value)} {why}"


def shown(name: str, value: str) -> str:
    """A variable for people's eyes, without what nobody should see."""
    if name in SECRETS:
        return f"{name}=…"
    return f"{name}={_without_password(value)}"


def _without_password(value: str) -> str:
    if "://" not in value:
        return value
    try:
        parts = urlsplit(value)
        password, host = parts.password, parts.netloc.rpartition("@")[2]
    except ValueError:
        return "…"
    user = f"{parts.username or ''}:…@" if password is not None else ""
    if not user and "@" in parts.netloc:
        user = f"{parts.username}@"
    # A query may have passwords too.
    query = "?…" if parts.query else ""
    return f"{parts.scheme}://{user}{host}{parts.path}{query}"
