"""The last stage of a step: it stands for a day, watched, before anybody builds on it."""

from collections.abc import Iterator
from typing import Any

from strangler_proxy.steps import Gate, Stage
from strangler_proxy.steps.gates import RowsAlike, Soak, Watch
from strangler_proxy.steps.moves import DataMove
from strangler_proxy.steps.options import option, seconds

DAY_S = 24 * 3600.0


def soak_s() -> Any:
    """The option of a step that soaks."""
    return option(
        DAY_S, "seconds that the whole step is watched at its end; 0: not at all", parse=seconds
    )


def soaked(
    watch: Watch, for_s: float, patience_s: float, move: DataMove | None = None
) -> Iterator[Stage]:
    """Watched for so long, and then its rows are alike on both sides; nothing for 0 seconds."""
    if for_s <= 0:
        return
    gates: list[Gate] = [Soak(watch, for_s, for_s + patience_s)]
    if move is not None:
        # Nobody goes back to tables that did not follow.
        gates.append(RowsAlike(move))
    yield Stage("soak", None, tuple(gates))
