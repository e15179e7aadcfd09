"""The route table: method and raw path to the entry that serves them, exactly as Werkzeug matches.

Werkzeug itself does the matching, on the path as a WSGI server would hand it over. That takes some
8 µs; the data path keeps the answers. Opens no sockets and reads no clock.
"""

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, RequestRedirect, Rule

from strangler_proxy.config import Config, Route
from strangler_proxy.routing.decide import Decision, decide

DEFAULT = "(default)"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A route made ready for the data path.

    `fixed` is the answer when it is the same for every caller, None while callers are split;
    `sticky` then says by what.
    """

    name: str
    route: Route | None
    fixed: Decision | None
    timeout_s: float
    sticky: str = "client"

    def decide(self, caller: bytes) -> Decision:
        """Choose for one caller; only for an entry that splits them."""
        if self.route is None:
            raise ValueError("the default entry splits nobody")
        return decide(self.route, caller)


class RouteTable:
    """All routes of one configuration."""

    def __init__(self, config: Config) -> None:
        self.default = Entry(
            DEFAULT, None, Decision(config.default, "no route"), config.default_timeout_s
        )
        self._entries = {route.name: _entry(route) for route in config.routes}
        self._map = Map(
            [
                Rule(route.rule, methods=route.methods, endpoint=route.name)
                for route in config.routes
            ]
        ).bind("control")

    def match(self, method: bytes, path: bytes) -> Entry:
        """Find the entry for a method and the raw, still percent-encoded path without its query."""
        # A WSGI server decodes percent-escapes once, and Werkzeug reads the result as UTF-8.
        text = unquote_to_bytes(path).decode("utf-8", "replace")
        verb = method.decode("latin-1")
        for _ in range(2):
            try:
                endpoint, _arguments = self._map.match(text, verb)
            except RequestRedirect as redirect:
                # The control would answer with a redirect to the slash (or the merged slashes).
                # That answer belongs to whoever serves the path it points to.
                text = _path_of(redirect.new_url)
            except (HTTPException, ValueError, TypeError):
                # Converters raise these as well, on digits beyond counting or a bound that is
                # none; the control then answers 500, as it always has.
                return self.default
            else:
                return self._entries[endpoint]
        return self.default


def _entry(route: Route) -> Entry:
    percent = route.serve.candidate_percent
    split = route.candidate is not None and 0 < percent < 100
    fixed = None if split else decide(route, b"")
    return Entry(route.name, route, fixed, route.timeout_s, route.serve.sticky)


def _path_of(url: str) -> str:
    return unquote_to_bytes(urlsplit(url).path).decode("utf-8", "replace")
