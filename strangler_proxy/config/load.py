"""Read strangler.yaml into a frozen Config, or refuse it with every problem, file and line.

Pieces are validated one by one, so that a mistake in one route does not hide those in the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from strangler_proxy.config.document import read_keys, read_text, refuse
from strangler_proxy.config.model import Config
from strangler_proxy.config.references import Mistake, Where, reference_mistakes
from strangler_proxy.config.route import Route
from strangler_proxy.config.upstream import Upstream


def load(path: Path) -> Config:
    """Read the file; ConfigError lists all that is wrong with it."""
    return parse(read_text(path), str(path))


@lru_cache(maxsize=8)
def parse(text: str, file: str = "strangler.yaml") -> Config:
    """Read the text of a configuration; `file` is what its problems are reported against.

    Reading takes a millisecond for each three lines: the last few that were good are kept.
    """
    data = read_keys(text, file, "keys: upstreams, default, routes")
    try:
        refuse(data, file, _mistakes(data))
        return Config.model_validate({**data, **_empty(data)})
    except ValidationError as fault:
        refuse(data, file, _told(fault, ()))
        raise


def _empty(data: Mapping[str, Any]) -> dict[str, Any]:
    """A key without a value, where that says as much as none of it."""
    return {"routes": ()} if "routes" in data and data["routes"] is None else {}


def _mistakes(data: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield everything wrong with the document, as (path to the value, message)."""
    upstreams, routes = data.get("upstreams"), data.get("routes")
    pieces = {**data, "routes": ()}
    if isinstance(upstreams, Mapping):
        for name, upstream in upstreams.items():
            yield from shape_mistakes(Upstream, upstream, ("upstreams", name))
        pieces["upstreams"] = {name: Upstream(url="http://checked.above") for name in upstreams}
    yield from shape_mistakes(Config, pieces, ())
    if isinstance(routes, Sequence) and not isinstance(routes, str):
        for index, raw in enumerate(routes):
            yield from shape_mistakes(Route, raw, ("routes", index))
    yield from reference_mistakes(data)


def shape_mistakes(model: type[BaseModel], value: Any, where: Where) -> Iterator[Mistake]:
    """Yield what is wrong with a piece of a document by itself, in words for people."""
    try:
        TypeAdapter(model).validate_python(value)
    except ValidationError as fault:
        yield from _told(fault, where)


def _told(fault: ValidationError, where: Where) -> Iterator[Mistake]:
    for error in fault.errors():
        yield (*where, *error["loc"]), _for_people(error["type"], error["msg"], error["loc"])


def _for_people(kind: str, message: str, loc: tuple[int | str, ...]) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"'{loc[-1]}' is not a known key"
    if kind == "model_type":
        return "must hold keys and values"
    return message.removeprefix("Value error, ")
