"""Read strangler.yaml into a frozen Config, or refuse it with every problem, file and line.

Pieces are validated one by one, so that a mistake in one route does not hide those in the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from werkzeug.routing import Map, Rule
from werkzeug.routing.exceptions import RoutingException

from strangler_proxy.config.model import Config, Route, Upstream, split_match
from strangler_proxy.config.problems import ConfigError, Problem

_MAX_BYTES = 4 * 2**20
Where = tuple[str | int, ...]


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


def parse(text: str, file: str = "strangler.yaml") -> Config:
    """Read the text of a configuration; `file` is what its problems are reported against."""
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
        Problem(file, _line(data, where), _dotted(data, where), message)
        for where, message in _mistakes(data)
    ]
    if problems:
        raise ConfigError(problems)
    return Config.model_validate(data)


def _mistakes(data: Mapping[str, Any]) -> Iterator[tuple[Where, str]]:
    """Yield everything wrong with the document, as (path to the value, message)."""
    upstreams, routes = data.get("upstreams"), data.get("routes") or ()
    pieces = {**data, "routes": ()}
    if isinstance(upstreams, Mapping):
        for name, upstream in upstreams.items():
            yield from _shape(Upstream, upstream, ("upstreams", name))
        pieces["upstreams"] = {name: Upstream(url="http://checked.above") for name in upstreams}
    yield from _shape(Config, pieces, ())
    if not isinstance(routes, Sequence) or isinstance(routes, str):
        yield ("routes",), "must be a list of routes"
        return
    names = upstreams if isinstance(upstreams, Mapping) else {}
    default = data.get("default")
    if isinstance(default, str) and default not in names:
        yield ("default",), _unknown_upstream(default, names)
    seen_names: dict[str, int] = {}
    seen_rules: dict[tuple[str, str], str] = {}
    for index, raw in enumerate(routes):
        where: Where = ("routes", index)
        mistakes = list(_shape(Route, raw, where))
        yield from mistakes
        if not isinstance(raw, Mapping):
            continue
        yield from _references(raw, names, where)
        name = raw.get("name")
        if isinstance(name, str) and seen_names.setdefault(name, index) != index:
            yield (*where, "name"), f"'{name}' is used by an earlier route: names must differ"
        if isinstance(raw.get("match"), str):
            yield from _rule_mistakes(raw["match"], str(name), seen_rules, (*where, "match"))


def _shape(model: type[BaseModel], value: Any, where: Where) -> Iterator[tuple[Where, str]]:
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


def _references(
    raw: Mapping[str, Any], names: Mapping[str, Any], where: Where
) -> Iterator[tuple[Where, str]]:
    for side in ("control", "candidate"):
        name = raw.get(side)
        if isinstance(name, str) and name not in names:
            yield (*where, side), _unknown_upstream(name, names)


def _unknown_upstream(name: str, names: Mapping[str, Any]) -> str:
    known = ", ".join(map(str, names)) or "none"
    return f"'{name}' is not an upstream; the file has: {known}"


def _rule_mistakes(
    match: str, name: str, seen: dict[tuple[str, str], str], where: Where
) -> Iterator[tuple[Where, str]]:
    try:
        methods, rule = split_match(match)
    except ValueError:
        return  # told already, with the route's shape
    try:
        Map([Rule(rule, endpoint=name)])
    except (ValueError, LookupError, TypeError, SyntaxError, RoutingException) as fault:
        yield where, f"'{rule}' is not a path rule as Flask knows them: {fault}"
        return
    for method in sorted(methods or {"*"}):
        if (earlier := seen.setdefault((method, rule), name)) != name:
            yield where, f"'{match}' is matched by the earlier route '{earlier}' already"
            return


def _line(document: Any, where: Where) -> int | None:
    """The 1-based line of the deepest part of `where` that the document has."""
    line = None
    for key in where:
        try:
            place = document.lc.key(key) if hasattr(document, "keys") else document.lc.item(key)
            line, document = place[0] + 1, document[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _dotted(data: Any, where: Where) -> str:
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
