"""Two HTTP answers become findings. Pure: opens nothing, asks nobody, reads no clock."""

from strangler_proxy.compare.answer import Answer
from strangler_proxy.compare.comparison import compare, learn_noise
from strangler_proxy.compare.finding import Difference, Finding, Kind, NotComparable, unexplained
from strangler_proxy.compare.jsonpath import JsonPath
from strangler_proxy.compare.pixels import Pixels, PixelsRule
from strangler_proxy.compare.rules import BodyComparator, JsonRule, RuleError, Rules

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
