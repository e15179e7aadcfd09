"""JSON bodies compared by structure: names, order of lists, values and their types.

Cannot see: the order of an object's names, spacing, escapes, and a name given twice (the last
one counts), none of which JSON gives a meaning.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from strangler_proxy.compare.finding import ABSENT
from strangler_proxy.compare.jsonpath import Step

Place = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class JsonDifference:
    """A place where two documents disagree; `same_type` when only the value does."""

    place: Place
    control: object
    candidate: object
    same_type: bool


def is_json(media_type: str) -> bool:
    """Whether the media type promises JSON (RFC 6839, section 3.1)."""
    return media_type == "application/json" or media_type.endswith("+json")


def parse(body: bytes) -> Any:
    """The document. Raises ValueError for anything that RFC 8259 does not allow."""
    try:
        return json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply to compare") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def differences(control: Any, candidate: Any) -> Iterator[JsonDifference]:
    """Every disagreement, in document order; lists of unequal length are one disagreement."""
    waiting: list[tuple[Place, Any, Any]] = [((), control, candidate)]
    while waiting:
        place, left, right = waiting.pop()
        if type(left) is not type(right):
            yield JsonDifference(place, left, right, same_type=False)
        elif isinstance(left, dict):
            names = [*left, *(name for name in right if name not in left)]
            waiting += [
                ((*place, name), left.get(name, ABSENT), right.get(name, ABSENT))
                for name in reversed(names)
            ]
        elif isinstance(left, list) and len(left) == len(right):
            pairs = list(zip(left, right, strict=True))
            waiting += [((*place, i), *pairs[i]) for i in reversed(range(len(pairs)))]
        elif left != right:
            yield JsonDifference(place, left, right, same_type=True)
