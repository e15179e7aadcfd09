"""In which order steps go forward and back. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from strangler_proxy.steps.decision import Direction
from strangler_proxy.steps.state import Phase


@dataclass(frozen=True, slots=True)
class Order:
    """Steps by name: those that have to be done `before` this one, and those that need it."""

    before: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()


ANY_TIME = Order()


class OutOfTurn(Exception):
    """A step may not go this way now; the message says why. Nothing was done."""


def order_of(name: str, needs: Mapping[str, Iterable[str]]) -> Order:
    """The order of one step, where `needs` names what each step needs."""
    needed_by = tuple(other for other, needed in needs.items() if name in needed)
    return Order(tuple(needs.get(name, ())), needed_by)


def begun(names: Iterable[str], phases: Mapping[str, Phase]) -> list[str]:
    """Those of these steps that are in force, or partly so."""
    return [name for name in names if phases[name] is not Phase.IDLE]


def out_of_turn(way: Direction, order: Order, phases: Mapping[str, Phase]) -> str | None:
    """Why a step may not go this way now, by where the others stand; None while it may."""
    if way is Direction.EXECUTE:
        missing = [name for name in order.before if phases[name] is not Phase.FINISHED]
        if missing:
            return f"this step needs others, which are not done: {', '.join(missing)}"
        return None
    if standing := begun(order.needed_by, phases):
        last_first = ", ".join(reversed(standing))
        return f"other steps need this one and would break without it: undo {last_first} first"
    return None
