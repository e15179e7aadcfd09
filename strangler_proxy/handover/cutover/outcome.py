"""How a cut-over ended, or that it is not known yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from strangler_proxy.handover.faults import HandoverFault
from strangler_proxy.handover.way import Owner


class Unsettled(HandoverFault):
    """It is not known how far a cut-over came: open the way anew and `resume`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a cut-over ended. `owner`: whose the tables are now. `reason`: why it was undone.

    `steps_s` has how long each step took; `hold_s` is from the request for the hold to the end of
    the release, 0 where there was none. `held` requests waited for it; `drained` entries were
    applied under it, `compared` rows before and under it. `warnings` are left for people.
    """

    done: bool
    owner: Owner
    reason: str | None = None
    steps_s: Mapping[str, float] = field(default_factory=dict)
    hold_s: float = 0.0
    held: int = 0
    drained: int = 0
    compared: int = 0
    warnings: tuple[str, ...] = ()


def told(outcome: Outcome) -> tuple[str, ...]:
    """How one ended that was resumed, in words."""
    if outcome.done:
        ended = f"it was completed: the {outcome.owner} owns the tables"
    else:
        ended = f"it was undone, and the {outcome.owner} owns the tables: {outcome.reason}"
    return (ended, *outcome.warnings)
