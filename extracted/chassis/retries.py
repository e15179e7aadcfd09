"""Which calls are tried again, and when. Opens no sockets and reads no clock."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

# Answers that say that the service itself is not well; any other is an answer.
FAILURES = (500, 502, 503, 504)
# Those of them that may pass by themselves.
PASSING = (502, 503, 504)
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
# Delta-seconds of RFC 9110, 10.2.3; more digits than this are no waiting time.
SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try went: the answer, or the error that ended it."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: Exception | None = None

    @property
    def failed(self) -> bool:
        """Whether the service is to blame for it: 4xx is no failure."""
        return self.error is not None or self.status in FAILURES


def may_repeat(outcome: Outcome, repeatable: bool) -> bool:
    """Whether the same request may be sent again after this.

    Always when nothing of it was sent; otherwise only a repeatable one, when the try broke or was
    answered by something that may pass.
    """
    if outcome.error is not None:
        return repeatable or unsent(outcome.error)
    return repeatable and outcome.status in PASSING


def unsent(error: Exception) -> bool:
    """Whether the connection could not be opened, so that nothing of the request was sent."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def reason(error: BaseException) -> str:
    """What was at the bottom of it: "[Errno 111] Connection refused", and not all that saw it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or repr(error)


def delay_s(tries: int, outcome: Outcome, rng: random.Random, now: datetime) -> float:
    """Seconds to wait after so many tries: doubled each time, half of it by chance.

    Never less than the service asks for by Retry-After.
    """
    backoff_s: float = min(FIRST_DELAY_S * 2 ** (tries - 1), LONGEST_DELAY_S)
    asked_s = retry_after_s(outcome.headers.get("Retry-After"), now)
    return max(backoff_s * rng.uniform(0.5, 1.0), asked_s or 0.0)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks to wait, in either form (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    value = value.strip(" \t")
    if SECONDS.fullmatch(value):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError):
        return None
