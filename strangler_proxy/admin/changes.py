"""What is different between two configurations, named so that a person reads it. Pure.

Secrets never stand in a configuration, only the names of variables: values may be told.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from strangler_proxy.config import Canary, Config, Route, Serve

LONGEST_VALUE = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """One changed thing: `routes.upload.serve` from `control` to `5% (sticky client)`.

    `before` and `after` are plain JSON values; None where there was or is nothing.
    """

    what: str
    before: Any
    after: Any

    @property
    def undone(self) -> "Change":
        """The way back."""
        return Change(self.what, self.after, self.before)


def changes(old: Config, new: Config) -> list[Change]:
    """One entry for each changed thing, in the order of the keys; values are of bounded length."""
    return [
        Change(what, _bounded(before), _bounded(after))
        for what, before, after in _differences("", _document(old), _document(new))
    ]


def serve_in_words(serve: Serve | Canary) -> str:
    """`control`, `candidate`, `canary`, or `5% (sticky client)`."""
    if isinstance(serve, Canary):
        return f"{serve.percent}% (sticky {serve.sticky})"
    if serve.by_upstream:
        return "canary"
    words = {0: "control", 100: "candidate"}
    return words.get(serve.candidate_percent, f"{serve.candidate_percent}% (sticky {serve.sticky})")


def _document(config: Config) -> dict[str, Any]:
    """The configuration as plain values; routes by their names, who serves in words."""
    document = config.model_dump(mode="json")
    document["routes"] = {route.name: _route(route) for route in config.routes}
    document["order of routes"] = [route.name for route in config.routes]
    for name, upstream in config.upstreams.items():
        document["upstreams"][name]["canary"] = serve_in_words(upstream.canary)
    return document


def _route(route: Route) -> dict[str, Any]:
    document = route.model_dump(mode="json", exclude={"name"})
    document["serve"] = serve_in_words(route.serve)
    for name, part in route.compose.parts.items() if route.compose else ():
        # A fallback of null is one, and differs from none.
        document["compose"]["parts"][name]["has_fallback"] = part.has_fallback
    return document


_NAMED = ("routes", "upstreams", "tokens")
Difference = tuple[str, Any, Any]


def _differences(
    place: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Difference]:
    for key in [*old, *(key for key in new if key not in old)]:
        what = f"{place}.{key}" if place else key
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if what == "order of routes":
            kept = [name for name in before or () if name in (after or ())]
            if kept != [name for name in after or () if name in kept]:
                yield what, before, after
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(what, before, after)
        else:
            # A new upstream is told by what it says, not by all that it leaves to the defaults.
            whole = place in _NAMED
            yield (what, _said(before), _said(after)) if whole else (what, before, after)


def _said(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: held for key, held in value.items() if held not in (None, [], {}, ())}


def _bounded(value: Any) -> Any:
    text = json.dumps(value)
    return value if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
