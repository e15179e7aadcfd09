"""What can be ordered, as the bodies of requests: read strictly, refused in a sentence."""

import asyncio
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from strangler_proxy.admin.guard import Refusal

MOST_BYTES = 65_536
_PATIENCE_S = 10.0
_EXPECTED = "write control, candidate, canary, or a whole number from 0 to 100"


def _side(value: Any) -> Any:
    words = ("control", "candidate", "canary")
    is_percent = type(value) is int and 0 <= value <= 100
    if not (is_percent or (isinstance(value, str) and value in words)):
        raise ValueError(_EXPECTED)
    return value


class Order(BaseModel):
    """A body: no other keys, no other types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ServeOrder(Order):
    """Who is to serve a route."""

    to: Annotated[Literal["control", "candidate", "canary"] | int, BeforeValidator(_side)]
    sticky: str | None = None


class FlipOrder(Order):
    """Which routes are to be served by whom, in one go; under a hold, if there is one.

    `check`: change nothing, and refuse what would be refused.
    """

    routes: list[str] = Field(min_length=1, max_length=1000)
    to: Annotated[Literal["control", "candidate", "canary"] | int, BeforeValidator(_side)]
    hold: str | None = None
    check: bool = False


class CanaryOrder(Order):
    """How many callers an upstream is to serve."""

    percent: int = Field(ge=0, le=100)
    sticky: str | None = None


class AddressOrder(Order):
    """Whether an address is to get no new requests."""

    draining: bool


class BreakerOrder(Order):
    """How a breaker is to be."""

    state: Literal["open", "closed", "auto"]


class HoldOrder(Order):
    """Which routes' requests are to be parked, and within what bounds; those are each worker's.

    `drain_s`: so long may requests take that had been sent before.
    """

    routes: list[str] = Field(min_length=1, max_length=1000)
    seconds: float = Field(2.0, gt=0, le=30)
    drain_s: float = Field(1.0, ge=0, le=30)
    most_requests: int = Field(10_000, gt=0)
    most_bytes: int = Field(64 * 2**20, gt=0)


class ReloadOrder(Order):
    """The hold under which the file is to be taken over, if there is one."""

    hold: str | None = None


Kind = TypeVar("Kind", bound=Order)


async def read(request: web.Request, kind: type[Kind]) -> Kind:
    """The body as an order. Raises Refusal: 400 for what is no JSON, 422 for wrong values."""
    try:
        body = await asyncio.wait_for(request.read(), _PATIENCE_S)
    except TimeoutError:
        raise Refusal(408, f"the body was not here within {_PATIENCE_S:g} s") from None
    except ConnectionError:
        raise Refusal(400, "whoever asked has hung up") from None
    try:
        return kind.model_validate_json(body)
    except ValidationError as fault:
        errors = fault.errors()
        if errors[0]["type"] == "json_invalid":
            raise Refusal(400, "the body is not JSON") from None
        raise Refusal(422, "; ".join(_sentence(error) for error in errors)) from None


def _sentence(error: Any) -> str:
    place = ".".join(map(str, error["loc"][:1]))
    if error["type"] == "missing":
        return f"{place} is missing"
    if error["type"] == "extra_forbidden":
        return f"'{place[:64]}' is not a known key"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
