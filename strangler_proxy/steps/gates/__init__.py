"""The gates: what each needs to see before a step may go on."""

from .answers import AnswersCompared, Sample
from .health import Health
from .traffic import Watch

__all__ = ["AnswersCompared", "Health", "Sample", "Watch"]
