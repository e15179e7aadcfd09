"""Rows that go into a document of another table, as moves.yaml says it. Pure.

    tables:
      - table: posts
      - table: comments
        embed: {in: posts, as: comments, by: post_id, order: created_at}

Only MongoDB has such documents; pairing says so where the target is another database.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from strangler_proxy.config.fields import Frozen
from strangler_proxy.config.references import Mistake, Where

Name = Annotated[str, Field(min_length=1, max_length=128)]


class Embed(Frozen):
    """Each row is an element of an array in its parent's document.

    `by` are the source's columns that hold the parent's key, in its order: the document says them
    already, so they are left out of the element. `order` are columns that the array is ordered by,
    before the rows' own key.
    """

    into: Name = Field(alias="in", description="the parent's collection")
    array: Name = Field(alias="as", description="the field of the parent that is the array")
    by: Name | tuple[Name, ...]
    order: Name | tuple[Name, ...] = ()

    @property
    def by_columns(self) -> tuple[str, ...]:
        """The columns that hold the parent's key."""
        return (self.by,) if isinstance(self.by, str) else self.by

    @property
    def order_columns(self) -> tuple[str, ...]:
        """The columns that the array is ordered by."""
        return (self.order,) if isinstance(self.order, str) else self.order


def embed_mistakes(tables: Any, where: Where) -> Iterator[Mistake]:
    """What is wrong between the tables of one move; what is wrong with each by itself is not."""
    if not isinstance(tables, Sequence) or isinstance(tables, str):
        return
    named = [raw for raw in tables if isinstance(raw, Mapping)]
    roots = {str(raw.get("to") or raw.get("table")) for raw in named if "embed" not in raw}
    taken: set[tuple[str, str]] = set()
    for place, raw in enumerate(tables):
        embed = raw.get("embed") if isinstance(raw, Mapping) else None
        if not isinstance(embed, Mapping):
            continue
        at = (*where, place, "embed")
        if raw.get("to") is not None:
            yield (*where, place, "to"), "has no place beside embed, which says where the rows go"
        into, array = str(embed.get("in")), str(embed.get("as"))
        if "in" in embed and into not in roots:
            known = ", ".join(sorted(roots)) or "none"
            yield (*at, "in"), f"'{into}' is no collection of this move; there are: {known}"
        if array.startswith(("_", "$")) or "." in array:
            yield (*at, "as"), f"'{array}' is no name for an array: no '_' or '$' first, no '.'"
        elif (into, array) in taken:
            yield (*at, "as"), f"'{array}' of {into} is filled by an earlier table"
        taken.add((into, array))
