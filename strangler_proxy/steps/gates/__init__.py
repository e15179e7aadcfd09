"""The gates: what each needs to see before a step may go on."""

from strangler_proxy.steps.gates.answers import AnswersCompared, Sample
from strangler_proxy.steps.gates.data import Copied, RowsAlike
from strangler_proxy.steps.gates.health import Health
from strangler_proxy.steps.gates.quiet import NothingReaches
from strangler_proxy.steps.gates.settled import Settled
from strangler_proxy.steps.gates.soak import Soak
from strangler_proxy.steps.gates.traffic import Watch

__all__ = [
    "AnswersCompared",
    "Copied",
    "Health",
    "NothingReaches",
    "RowsAlike",
    "Sample",
    "Settled",
    "Soak",
    "Watch",
]
