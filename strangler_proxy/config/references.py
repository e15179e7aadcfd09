"""What parts of a configuration say of each other: names that must exist, rules that fit. Pure.

Works on the document as it was read, so that a mistake in one place hides none in another.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from werkzeug.routing import BaseConverter, Map, Rule
from werkzeug.routing.exceptions import RoutingException

from strangler_proxy.config.compose import Compose
from strangler_proxy.config.route import split_match

Where = tuple[str | int, ...]
Mistake = tuple[Where, str]


_UNFIT = (
    *(ValueError, LookupError, TypeError, SyntaxError, RoutingException),
    *(re.error, OverflowError),
)


class _TriedRule(Rule):
    """Has the patterns of its arguments compiled: Werkzeug does so at the first path they meet."""

    def get_converter(self, *arguments: Any, **named: Any) -> BaseConverter:
        converter = super().get_converter(*arguments, **named)
        re.compile(converter.regex)
        return converter


def reference_mistakes(data: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what does not fit together, as (path to the value, message)."""
    upstreams, tokens = _mapping(data.get("upstreams")), _mapping(data.get("tokens"))
    default = data.get("default")
    if isinstance(default, str) and default not in upstreams:
        yield ("default",), _unknown("an upstream", default, upstreams)
    routes = data.get("routes")
    if routes is None:
        return
    if not isinstance(routes, Sequence) or isinstance(routes, str):
        yield ("routes",), "must be a list of routes"
        return
    seen_names: dict[str, int] = {}
    seen_rules: dict[tuple[str, str], str] = {}
    for index, raw in enumerate(routes):
        if not isinstance(raw, Mapping):
            continue
        where: Where = ("routes", index)
        for side in ("control", "candidate"):
            name = raw.get(side)
            if isinstance(name, str) and name not in upstreams:
                yield (*where, side), _unknown("an upstream", name, upstreams)
        yield from _token_mistakes(raw.get("token"), tokens, where)
        name = raw.get("name")
        if isinstance(name, str) and seen_names.setdefault(name, index) != index:
            yield (*where, "name"), f"'{name}' is used by an earlier route: names must differ"
        if isinstance(raw.get("match"), str):
            yield from _rule_mistakes(raw, str(name), seen_rules, where)


def _token_mistakes(raw: Any, tokens: Mapping[str, Any], where: Where) -> Iterator[Mistake]:
    name = raw.get("check") if isinstance(raw, Mapping) else raw
    if isinstance(name, str) and name not in tokens:
        yield (*where, "token"), _unknown("an entry of tokens", name, tokens)


def _rule_mistakes(
    raw: Mapping[str, Any], name: str, seen: dict[tuple[str, str], str], where: Where
) -> Iterator[Mistake]:
    match = raw["match"]
    try:
        methods, text = split_match(match)
    except ValueError:
        return  # told already, with the route's shape
    try:
        rule = _TriedRule(text, endpoint=name)
        Map([rule])
    except _UNFIT as fault:
        yield (*where, "match"), f"'{text}' is not a path rule as Flask knows them: {fault}"
        return
    if raw.get("compose") is not None:
        yield from _compose_mistakes(raw["compose"], methods, rule, where)
    for method in sorted(methods or {"*"}):
        if (earlier := seen.setdefault((method, text), name)) != name:
            yield (
                (*where, "match"),
                f"'{match}' is matched by the earlier route '{earlier}' already",
            )
            return


def _compose_mistakes(
    raw: Any, methods: frozenset[str] | None, rule: Rule, where: Where
) -> Iterator[Mistake]:
    if methods is None or not methods <= {"GET", "HEAD"}:
        yield (*where, "match"), "an answer can be composed for GET only: write GET and the path"
    try:
        compose = Compose.model_validate(raw)
    except ValidationError:
        return  # told already, with the route's shape
    for name in sorted(compose.arguments - rule.arguments):
        known = ", ".join(sorted(rule.arguments)) or "none"
        message = f"{{{name}}} is no argument of the route's rule; it has: {known}"
        yield (*where, "compose"), message


def _unknown(what: str, name: str, names: Mapping[str, Any]) -> str:
    known = ", ".join(map(str, names)) or "none"
    return f"'{name}' is not {what}; the file has: {known}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
