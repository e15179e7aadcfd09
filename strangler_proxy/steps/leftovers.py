"""What nobody needs any more once a step is done, for people and for programs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leftover:
    """Things of one kind that can be deleted: `names`, `where` they are, and what to mind."""

    kind: str
    names: tuple[str, ...]
    where: str
    mind: str = ""


def as_lines(left: Sequence[Leftover]) -> list[str]:
    """A line for each kind, under a heading; none if nothing is left."""
    if not left:
        return []
    told = [
        f"  {each.kind} ({each.where}): {', '.join(each.names)}" + (each.mind and f"; {each.mind}")
        for each in left
    ]
    return ["Nobody needs these any more:", *told]
