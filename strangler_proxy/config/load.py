"""Read strangler.yaml into a frozen Config, or refuse it with every problem, file and line.

Pieces are validated one by one, so that a mistake in one route does not hide those in the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from strangler_proxy.config.model import Config
from strangler_proxy.config.problems import ConfigError, Problem
from strangler_proxy.config.references import Mistake, Where, reference_mistakes
from strangler_proxy.config.route import Route
from strangler_proxy.config.upstream import Upstream

_MAX_BYTES = 4 * 2**20


def load(path: Path) -> Config:
    """Read the file; ConfigError lists all that is wrong with it."""
    try:
        text = path.read_bytes()
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise ConfigError([Problem(str(path), None, "", f"cannot be read: {reason}")]) from fault
    if len(text) > _MAX_BYTES:
        raise ConfigError([Problem(str(path), None, "", f"is over {_MAX_BYTES} bytes")])
    return parse(text.decode("utf-8", "replace"), str(path))


@lru_cache(maxsize=8)
def parse(text: str, file: str = "strangler.yaml") -> Config:
    """Read the text of a configuration; `file` is what its problems are reported against.

    Reading takes a millisecond for each three lines: the last few that were good are kept.
    """
    try:
        data = YAML(typ="rt").load(text)
    except MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else None
        message = f"is not YAML: {fault.problem or fault.context}"
        raise ConfigError([Problem(file, line, "", message)]) from fault
    except (YAMLError, ValueError) as fault:
        raise ConfigError([Problem(file, None, "", f"is not YAML: {fault}")]) from fault
    if not isinstance(data, Mapping):
        raise ConfigError([Problem(file, 1, "", "must hold keys: upstreams, default, routes")])
    problems = [
        Problem(file, line_of(data, where), dotted(data, where), message)
        for where, message in _mistakes(data)
    ]
    if problems:
        raise ConfigError(problems)
    return Config.model_validate(data)


def _mistakes(data: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield everything wrong with the document, as (path to the value, message)."""
    upstreams, routes = data.get("upstreams"), data.get("routes") or ()
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


def line_of(document: Any, where: Where) -> int | None:
    """The 1-based line of the deepest part of `where` that the document has."""
    line = None
    for key in where:
        try:
            place = document.lc.key(key) if hasattr(document, "keys") else document.lc.item(key)
            line, document = place[0] + 1, document[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def dotted(data: Any, where: Where) -> str:
    """`routes[2].match`, with the route's name where it has one."""
    text = ""
    for key in where:
        if isinstance(key, int):
            item = data[key] if isinstance(data, Sequence) and key < len(data) else None
            named = item.get("name") if isinstance(item, Mapping) else None
            text += f"[{named or key}]"
        else:
            text += f".{key}" if text else key
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            data = None
    return text
