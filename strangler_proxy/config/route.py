"""Who answers which requests, and under what conditions. Frozen values."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from strangler_proxy.config.compose import Compose
from strangler_proxy.config.fields import (
    CountedBy,
    Frozen,
    Name,
    Percent,
    Rule,
    Seconds,
    Status,
    Sticky,
)
from strangler_proxy.config.tokens import RequiredToken

COMPOSED = "(composed)"
"""What stands for an upstream where the proxy puts the answer together."""
_METHOD = re.compile(r"[A-Za-z][A-Za-z-]*")
_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_LIMIT = re.compile(
    r"(?P<amount>\d{1,9})\s*(?:/|per)\s*(?:(?P<multiple>\d{1,5})\s*)?"
    r"(?P<unit>second|minute|hour|day)s?"
)


def _match(text: str) -> str:
    split_match(text)
    return text


def _limit(text: str) -> str:
    read_limit(text)
    return text


def _no_shadow(percent: int) -> int:
    if percent:
        raise ValueError("shadow copies are not available in this version: write 0")
    return percent


class Serve(Frozen):
    """Who answers a route: the percent of callers that the candidate serves, chosen by `sticky`.

    `by_upstream`: both stand in the candidate's own `canary` instead.
    """

    candidate_percent: Percent = 0
    sticky: Sticky = "client"
    by_upstream: bool = False


class Shadow(Frozen):
    """Copies of safe requests to the side that does not answer."""

    percent: Annotated[int, AfterValidator(_no_shadow)] = 0


class Compare(Frozen):
    """What may differ between two answers: JSON paths such as `$.posts[*].id`."""

    ignore: tuple[Rule, ...] = ()


class Retry(Frozen):
    """Ask again, after a pause that grows, what could not be answered. Idempotent requests only.

    The pause before try n is random, up to `backoff_s` times 2 to the n, but `longest_s` at most.
    """

    most: Annotated[int, Field(ge=0, le=10)] = Field(2, description="tries after the first")
    statuses: tuple[Status, ...] = Field(
        (502, 503, 504), description="answers that are thrown away and asked for again"
    )
    backoff_s: Seconds = 0.05
    longest_s: Seconds = 1


class RateLimit(Frozen):
    """How often one caller may ask; beyond it the answer is 429 with Retry-After."""

    limit: Annotated[str, AfterValidator(_limit)] = Field(
        description="such as 100/minute or 5 per 10 seconds"
    )
    by: CountedBy = Field("client", description="who counts as one; route: all callers together")

    @property
    def amount(self) -> int:
        """Requests allowed in a window."""
        return read_limit(self.limit)[0]

    @property
    def window_s(self) -> int:
        """The window in seconds."""
        return read_limit(self.limit)[1]


def _serve(value: Any) -> Any:
    """Accept the short forms."""
    short = {
        "control": {"candidate_percent": 0},
        "candidate": {"candidate_percent": 100},
        "canary": {"by_upstream": True},
    }
    if isinstance(value, str):
        if value not in short:
            raise ValueError(
                f"'{value}' is unknown: write control, candidate, canary, or "
                "{candidate_percent: 5, sticky: header:authorization}"
            )
        return short[value]
    return value


def _token(value: Any) -> Any:
    return {"check": value} if isinstance(value, str) else value


def _rate_limit(value: Any) -> Any:
    if isinstance(value, str):
        return ({"limit": value},)
    return (value,) if isinstance(value, dict) else value


class Route(Frozen):
    """A method set and a Werkzeug path rule, and who answers it."""

    name: Name
    match: Annotated[str, AfterValidator(_match)]
    control: str = COMPOSED
    candidate: str | None = None
    serve: Annotated[
        Serve,
        BeforeValidator(
            _serve, json_schema_input_type=Literal["control", "candidate", "canary"] | Serve
        ),
    ] = Serve()
    when_open: Literal["refuse", "control"] = Field(
        "refuse",
        description="while the candidate's breaker is open: 503, or let the control answer",
    )
    token: Annotated[
        RequiredToken | None,
        BeforeValidator(_token, json_schema_input_type=str | RequiredToken | None),
    ] = Field(None, description="the entry of `tokens` that requests must satisfy (401)")
    rate_limit: Annotated[
        tuple[RateLimit, ...],
        BeforeValidator(
            _rate_limit, json_schema_input_type=str | RateLimit | tuple[RateLimit, ...]
        ),
    ] = ()
    retry: Retry | None = None
    compose: Compose | None = Field(None, description="put the answer together from several")
    shadow: Shadow = Shadow()
    compare: Compare = Compare()
    timeout_s: Seconds = Field(
        60, description="wait for the answer's first byte; between its pieces too, see idle_s"
    )
    idle_s: Seconds | None = Field(None, description="between two pieces of the answer")
    total_s: Seconds | None = Field(None, description="the whole of it, all tries together")

    @model_validator(mode="after")
    def _sides_are_there(self) -> "Route":
        if self.compose is not None:
            if self.candidate is not None or "control" in self.model_fields_set:
                raise ValueError("compose answers by itself: leave control and candidate out")
        elif "control" not in self.model_fields_set:
            raise ValueError("control is missing")
        if self.candidate is None:
            if self.serve.candidate_percent or self.serve.by_upstream:
                raise ValueError("serve names the candidate, but the route has none: add candidate")
            if self.when_open == "control":
                raise ValueError("when_open is about the candidate, but the route has none")
        return self

    @model_validator(mode="after")
    def _subject_is_known(self) -> "Route":
        keys = [self.serve.sticky, *(limit.by for limit in self.rate_limit)]
        if "subject" in keys and self.token is None:
            raise ValueError("nobody's subject is known here: add token")
        return self

    @property
    def methods(self) -> frozenset[str] | None:
        """Upper-case methods as written; None for every method."""
        return split_match(self.match)[0]

    @property
    def rule(self) -> str:
        """The path rule in Flask's syntax."""
        return split_match(self.match)[1]


def split_match(match: str) -> tuple[frozenset[str] | None, str]:
    """Read `POST /upload`, `GET,PATCH /users/<int:id>` or `/any/method` into methods and rule."""
    methods, _, rule = match.strip().rpartition(" ")
    if not rule.startswith("/"):
        raise ValueError(
            f"'{match}' is not a match: write methods and a path, such as POST /upload"
        )
    if methods.strip() in ("", "*"):
        return None, rule
    names = [name.strip() for name in methods.replace(",", " ").split()]
    for name in names:
        if _METHOD.fullmatch(name) is None:
            raise ValueError(f"'{name}' in '{match}' is not a method")
    return frozenset(name.upper() for name in names), rule


def read_limit(text: str) -> tuple[int, int]:
    """Read `100/minute` into (requests, seconds); ValueError says what is expected."""
    found = _LIMIT.fullmatch(text.strip())
    if found is None or int(found["amount"]) == 0 or found["multiple"] == "0":
        raise ValueError(
            f"'{text}' is not a limit: write 100/minute, 5 per 10 seconds; also hour and day"
        )
    return int(found["amount"]), int(found["multiple"] or 1) * _UNITS_S[found["unit"]]
