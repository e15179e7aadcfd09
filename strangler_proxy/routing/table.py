"""The route table: method and raw path to the entry that serves them, exactly as Werkzeug matches.

Werkzeug itself does the matching, on the path as a WSGI server would hand it over. That takes some
8 µs; the data path keeps the answers. Opens no sockets and reads no clock.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, RequestRedirect, Rule

from strangler_proxy.config import Config, Route, Serve
from strangler_proxy.routing.decide import Decision, decide

DEFAULT = "(default)"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A route made ready for the data path.

    `fixed` is the answer when it is the same for every caller, None while callers are split.
    """

    name: str
    route: Route | None
    serve: Serve
    fixed: Decision | None

    def decide(self, caller: bytes) -> Decision:
        """Choose for one caller; only for an entry that splits them."""
        if self.route is None:
            raise ValueError("the default entry splits nobody")
        return decide(self.route, self.serve, caller)


class RouteTable:
    """All routes of one configuration."""

    def __init__(self, config: Config) -> None:
        self.default = Entry(DEFAULT, None, Serve(), Decision(config.default, "no route"))
        self._entries = {route.name: _entry(config, route) for route in config.routes}
        self._map = Map(
            [
                Rule(route.rule, methods=route.methods, endpoint=route.name)
                for route in config.routes
            ]
        ).bind("control")

    def match(self, method: bytes, path: bytes) -> Entry:
        """Find the entry for a method and the raw, still percent-encoded path without its query."""
        return self._matched(method, path)[0]

    def arguments(self, method: bytes, path: bytes) -> Mapping[str, Any]:
        """The arguments of the rule that matches, as its converters made them."""
        return self._matched(method, path)[1]

    def _matched(self, method: bytes, path: bytes) -> tuple[Entry, Mapping[str, Any]]:
        # A WSGI server decodes percent-escapes once, and Werkzeug reads the result as UTF-8.
        text = unquote_to_bytes(path).decode("utf-8", "replace")
        verb = method.decode("latin-1")
        for _ in range(2):
            try:
                endpoint, arguments = self._map.match(text, verb)
            except RequestRedirect as redirect:
                # The control would answer with a redirect to the slash (or the merged slashes).
                # That answer belongs to whoever serves the path it points to.
                text = _path_of(redirect.new_url)
            except (HTTPException, ValueError, TypeError, OverflowError, re.error):
                # Converters raise these as well, on digits beyond counting or a bound or a pattern
                # that is none; the control then answers 500, as it always has.
                break
            else:
                return self._entries[endpoint], arguments
        return self.default, {}


def _entry(config: Config, route: Route) -> Entry:
    serve = config.serve_of(route)
    split = route.candidate is not None and 0 < serve.candidate_percent < 100
    fixed = None if split else decide(route, serve, b"")
    return Entry(route.name, route, serve, fixed)


def _path_of(url: str) -> str:
    return unquote_to_bytes(urlsplit(url).path).decode("utf-8", "replace")
