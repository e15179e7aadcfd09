"""What may be flipped under which hold. Opens nothing and reads no clock.

A hold is good for flips of its own routes, until one of them is flipped outside it: whoever has
given up a flip and put its routes back must not be overtaken by it.
"""

from collections.abc import Iterable

MOST_HOLDS = 64


class FlippableHolds:
    """The latest holds, with their routes."""

    def __init__(self) -> None:
        self._routes: dict[str, frozenset[str]] = {}

    def begun(self, name: str, routes: Iterable[str]) -> None:
        """A hold is in force; the oldest of many is forgotten."""
        self._routes[name] = frozenset(routes)
        if len(self._routes) > MOST_HOLDS:
            del self._routes[next(iter(self._routes))]

    def against(self, name: str, routes: Iterable[str]) -> str | None:
        """Why these routes may not be flipped under this hold."""
        held = self._routes.get(name)
        if held is None:
            return f"the hold '{name}' is over, or its routes were flipped outside it meanwhile"
        strange = sorted(set(routes) - held)
        return f"the hold '{name}' does not hold {', '.join(strange)}" if strange else None

    def flipped_outside(self, routes: Iterable[str]) -> None:
        """Somebody flips these under no hold: nothing is flipped under theirs any more."""
        touched = frozenset(routes)
        self._routes = {name: held for name, held in self._routes.items() if not held & touched}

    def over(self, name: str) -> None:
        """It was released."""
        self._routes.pop(name, None)
