"""The kinds of values that strangler.yaml is made of, each checked by itself. Opens nothing."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import Url

from strangler_proxy.config.address import parse_address, parse_origin

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RULE = re.compile(r"\$.*|header:\s*\S+\s*|body")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - RFC 9110's word for such names
_CALLER_KEY = re.compile(rf"client|subject|(?:header|cookie):{_TOKEN}")
_COUNTED_BY = re.compile(rf"client|subject|route|(?:header|cookie):{_TOKEN}")
_HEADER = re.compile(_TOKEN)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REDACTED = re.compile(rf"(?:query|header):{_TOKEN}")


class Frozen(BaseModel):
    """A value of the configuration: unknown keys are mistakes, nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def checked(pattern: re.Pattern[str], expected: str) -> AfterValidator:
    """Refuse what the pattern does not match whole; `expected` goes on after the value."""

    def check(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise ValueError(f"'{value}' {expected}")
        return value

    return AfterValidator(check)


def _address(text: str) -> str:
    parse_address(text)
    return text


def _origin(url: str) -> str:
    parse_origin(url)
    return url


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _http_url(text: str) -> str:
    return _url(text, ("http", "https"), "http://host:port/path")


def _redis_url(text: str) -> str:
    return _url(text, ("redis", "rediss"), "redis://host:6379/0")


def _url(text: str, schemes: tuple[str, ...], example: str) -> str:
    try:
        url = Url(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a URL: write {example}") from None
    if url.scheme not in schemes or not url.host:
        raise ValueError(f"'{text}' is not such a URL: write {example}")
    if url.password:
        raise ValueError("a password does not belong into this file: name its variable instead")
    return text


Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(gt=0)]
WholeNumber = Annotated[int, Field(ge=0)]
Percent = Annotated[int, Field(ge=0, le=100)]
Status = Annotated[int, Field(ge=400, le=599)]
Name = Annotated[
    str, checked(_NAME, "is not a name: use letters, digits, '-', '_' and '.', no spaces")
]
AddressText = Annotated[str, AfterValidator(_address)]
OriginUrl = Annotated[str, AfterValidator(_origin)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
NetworkText = Annotated[str, AfterValidator(_network)]
Rule = Annotated[
    str,
    checked(
        _RULE, "is not a compare rule: write a JSON path such as $.posts[*].id, header:etag or body"
    ),
]
Sticky = Annotated[
    str,
    checked(_CALLER_KEY, "is not a key: write client, subject, header:<name> or cookie:<name>"),
]
CountedBy = Annotated[
    str,
    checked(
        _COUNTED_BY, "is not a key: write client, subject, route, header:<name> or cookie:<name>"
    ),
]
HeaderName = Annotated[str, checked(_HEADER, "is not a header's name")]
Redacted = Annotated[
    str, checked(_REDACTED, "is not something to hide: write query:<name> or header:<name>")
]
Variable = Annotated[
    str,
    checked(_VARIABLE, "is not the name of an environment variable: write it as JWT_SECRET"),
]
