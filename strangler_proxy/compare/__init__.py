"""Two HTTP answers become findings. Pure: opens nothing, asks nobody, reads no clock."""

from .answer import Answer
from .comparison import compare, learn_noise
from .finding import Difference, Finding, Kind, NotComparable, unexplained
from .jsonpath import JsonPath
from .pixels import Pixels, PixelsRule
from .rules import BodyComparator, JsonRule, RuleError, Rules

__all__ = [
    "Answer",
    "BodyComparator",
    "Difference",
    "Finding",
    "JsonPath",
    "JsonRule",
    "Kind",
    "NotComparable",
    "Pixels",
    "PixelsRule",
    "RuleError",
    "Rules",
    "compare",
    "learn_noise",
    "unexplained",
]
