"""The routes that a move names, held against those of strangler.yaml. Pure."""

from collections.abc import Iterator
from difflib import get_close_matches

from strangler_proxy.config import Config
from strangler_proxy.handover.move import Move


def route_mistakes(move: Move, config: Config, file: str) -> tuple[str, ...]:
    """Why the writers of this move could not be handed over by its routes, as sentences."""
    if not move.routes:
        return (
            f"move {move.name} names no routes: list in its `routes` the routes of {file} that "
            "write its tables, so that they can be held and flipped",
        )
    return tuple(_mistakes(move, config, file))


def _mistakes(move: Move, config: Config, file: str) -> Iterator[str]:
    known = {route.name: route for route in config.routes}
    for name in move.routes:
        route = known.get(name)
        if route is None:
            near = get_close_matches(name, known, 1)
            meant = (
                f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(known) or 'none'}"
            )
            yield f"move {move.name} names the route '{name}', which {file} has not; {meant}"
        elif route.candidate is None:
            yield f"route '{name}' of {file} has no candidate, so its writes cannot go over to one"
