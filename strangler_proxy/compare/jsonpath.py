"""The small part of JSONPath (RFC 9535) that names places in a body.

Understood: `$`, `.name`, `['name']`, `[3]`, `[*]`, `.*` and `..name`, and between quotes JSON's
escapes. Not understood: filters, slices, unions and negative indices; a rule that needs those is
better written as code.
"""

import json
import re
from dataclasses import dataclass
from enum import Enum

Step = str | int


class Wild(Enum):
    """Segments that stand for more than one place."""

    ANY = "*"
    DEEP = ".."


Segment = Step | Wild

_NAME = r"[^\W\d][\w-]*"
_SEGMENT = re.compile(
    rf"""(?P<deep>\.\.)(?={_NAME}|\*|\[) | \.?(?P<any>\[\*\]) | \.(?P<star>\*)
    | \[(?P<index>0|[1-9]\d*)\]
    | \[(?P<quote>['"])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)\]
    | \.(?P<name>{_NAME})""",
    re.VERBOSE | re.DOTALL,
)
_OTHER_IN_JSON = re.compile(r'\\.|"', re.DOTALL)
_AFTER_DEEP = re.compile(rf"(?P<star>\*)|(?P<name>{_NAME})")


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A parsed path that can tell which places it covers."""

    text: str
    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, text: str) -> "JsonPath":
        """Read `$.posts[*].id`. Raises ValueError that says where reading stopped."""
        if not text.startswith("$"):
            raise ValueError(f"a JSON path starts with '$', for example '$.url': {text!r}")
        segments: list[Segment] = []
        at = 1
        while at < len(text):
            pattern = _AFTER_DEEP if segments and segments[-1] is Wild.DEEP else _SEGMENT
            found = pattern.match(text, at) or _SEGMENT.match(text, at)
            if found is None:
                raise ValueError(f"JSON path {text!r} is not understood from {text[at:]!r} on")
            try:
                segments.append(_segment(found.groupdict()))
            except json.JSONDecodeError as fault:
                told = f"JSON path {text!r} has an escape that JSON has not in {found[0]!r}"
                raise ValueError(told) from fault
            at = found.end()
        return cls(text, tuple(segments))

    def covers(self, place: tuple[Step, ...]) -> bool:
        """Whether the path names this place or one that contains it."""
        return _covers(self.segments, place)


def _segment(found: dict[str, str | None]) -> Segment:
    if found.get("deep"):
        return Wild.DEEP
    if found.get("any") or found.get("star"):
        return Wild.ANY
    if (index := found.get("index")) is not None:
        return int(index)
    return found.get("name") or _unescaped(found.get("quoted") or "")


def _unescaped(quoted: str) -> str:
    """What stands between quotes of either kind. Raises JSONDecodeError."""
    as_json = {"\\'": "'", '"': '\\"'}
    text = _OTHER_IN_JSON.sub(lambda found: as_json.get(found[0], found[0]), quoted)
    return str(json.loads(f'"{text}"', strict=False))


def _covers(segments: tuple[Segment, ...], place: tuple[Step, ...]) -> bool:
    if not segments:
        return True
    head, rest = segments[0], segments[1:]
    if head is Wild.DEEP:
        return any(_covers(rest, place[start:]) for start in range(len(place)))
    if not place or (head is not Wild.ANY and head != place[0]):
        return False
    return _covers(rest, place[1:])


def spell(place: tuple[Step, ...], *, any_index: bool = False) -> str:
    """Write a place as a path; with `any_index`, every list index becomes `[*]`."""
    return "$" + "".join(_spell_step(step, any_index) for step in place)


def _spell_step(step: Step, any_index: bool) -> str:
    if isinstance(step, int):
        return "[*]" if any_index else f"[{step}]"
    if re.fullmatch(_NAME, step):
        return f".{step}"
    escaped = json.dumps(step, ensure_ascii=False)
    return f"[{escaped}]" if "'" in step or "\\" in escaped else f"['{step}']"
