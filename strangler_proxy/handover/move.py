"""A move as data: which tables go from where to where. Frozen values, read from moves.yaml.

    moves:
      - name: posts
        source_env: BLOG_DATABASE_URL
        target_env: POSTS_DATABASE_URL
        routes: [create_post, change_post]
        tables:
          - table: posts
          - table: comments
            columns: {id: id, post_id: post_id, words: {sql: "length(body)"}}

Opens one file and no database. What the tables look like is found out in pairing.py.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from strangler_proxy.config.document import read_keys, read_text, refuse
from strangler_proxy.config.fields import Frozen, Variable, checked
from strangler_proxy.config.load import shape_mistakes
from strangler_proxy.config.references import Mistake, Where
from strangler_proxy.handover.databases.port import TableName
from strangler_proxy.handover.embedding import Embed, embed_mistakes
from strangler_proxy.handover.proxy_place import FOLDER, ProxyPlace
from strangler_proxy.handover.writers import KnownWriters

_LONGEST_NAME = 24  # what is made inside the databases is named after it: 63 bytes in all
_TABLE = re.compile(r'(?:(?:"([^"]+)"|([^".]+))\.)?(?:"([^"]+)"|([^".]+))')
MoveName = Annotated[
    str,
    checked(
        re.compile(rf"[a-z][a-z0-9_]{{0,{_LONGEST_NAME - 1}}}"),
        f"is not a move's name: at most {_LONGEST_NAME} lower-case letters, digits and '_'",
    ),
]
TableText = Annotated[
    str,
    checked(_TABLE, 'is not a table: write table or schema.table, quoting a dot as "my.table"'),
]
Identifier = Annotated[str, Field(min_length=1, max_length=128)]


class Expression(Frozen):
    """A value computed from the source's row, in the source's SQL; it is not moved back."""

    sql: str = Field(min_length=1)
    compare: bool = Field(
        True, description="false: it may come to differ, as when it is read of another table"
    )


class TableMove(Frozen):
    """One table. `columns` maps the target's columns to the source's, or to expressions."""

    table: TableText
    to: TableText | None = Field(None, description="the target's table; named alike when left out")
    key: tuple[Identifier, ...] | None = Field(
        None, min_length=1, description="the source's columns that name a row; its primary key"
    )
    columns: dict[Identifier, Identifier | Expression] | None = Field(
        None, min_length=1, description="all that both sides have, when left out"
    )
    embed: Embed | None = Field(None, description="into an array of another table's document")
    types: dict[Identifier, Literal["string"]] | None = Field(
        None,
        min_length=1,
        description="MongoDB: fields kept as text, by the target's name",
    )

    @property
    def source(self) -> TableName:
        """Where its rows are."""
        return table_name(self.table)

    @property
    def target(self) -> TableName:
        """Where they go; an array counts as a table of its collection."""
        if self.embed:
            return TableName(self.embed.into, self.embed.array)
        return table_name(self.to or self.source.name)


class Move(Frozen):
    """One capability's tables, parents before children, and the routes that write them."""

    name: MoveName
    source_env: Variable = Field(description="variable that holds the source database's URL")
    target_env: Variable
    routes: tuple[str, ...] = Field((), description="names in strangler.yaml: who writes them")
    proxies: tuple[ProxyPlace, ...] = Field(
        (), max_length=64, description="every proxy of these routes; the one of `-c` when left out"
    )
    writers: KnownWriters = Field(KnownWriters(), description="who is expected to write")
    tables: tuple[TableMove, ...] = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _each_table_once(self) -> "Move":
        for side in ("source", "target"):
            names = [getattr(table, side) for table in self.tables]
            twice = sorted({str(name) for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{', '.join(twice)} stands twice among the {side}'s tables")
        return self

    @model_validator(mode="after")
    def _each_proxy_once(self) -> "Move":
        places = [str(place) for place in self.proxies]
        twice = sorted({place for place in places if places.count(place) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands twice among the proxies")
        return self


class Moves(Frozen):
    """A whole moves.yaml."""

    moves: tuple[Move, ...] = Field(min_length=1)

    def move(self, name: str) -> Move | None:
        """The move of that name, if there is one."""
        return next((move for move in self.moves if move.name == name), None)


def table_name(text: str) -> TableName:
    """`table` or `schema.table`, either part in double quotes where it holds a dot."""
    found = _TABLE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is not a table's name")
    return TableName(found[1] or found[2], found[3] or found[4])


def load_moves(path: Path, routes: Sequence[str] | None = None) -> Moves:
    """Read the file; ConfigError lists all that is wrong with it.

    With the names of strangler.yaml's routes, a route that is not among them is a mistake too.
    """
    return parse_moves(read_text(path), str(path), routes)


def parse_moves(text: str, file: str = "moves.yaml", routes: Sequence[str] | None = None) -> Moves:
    """Read the text of moves.yaml; `file` is what its problems are reported against."""
    data = read_keys(text, file, "the key moves")
    refuse(data, file, _mistakes(data, routes))
    return Moves.model_validate(data, context={FOLDER: Path(file).parent})


def _mistakes(data: Mapping[str, Any], routes: Sequence[str] | None) -> Iterator[Mistake]:
    """Yield everything wrong with the document; a mistake in one move hides none in another."""
    moves = data.get("moves")
    if not isinstance(moves, Sequence) or isinstance(moves, str) or not moves:
        yield from shape_mistakes(Moves, data, ())
        return
    for key in data:
        if key != "moves":
            yield (key,), f"'{key}' is not a known key"
    seen: set[str] = set()
    for place, raw in enumerate(moves):
        where: Where = ("moves", place)
        yield from shape_mistakes(Move, raw, where)
        if not isinstance(raw, Mapping):
            continue
        name = raw.get("name")
        if isinstance(name, str) and name in seen:
            yield (*where, "name"), f"'{name}' is used by an earlier move: names must differ"
        seen.add(str(name))
        yield from _route_mistakes(raw.get("routes"), routes, where)
        yield from embed_mistakes(raw.get("tables"), (*where, "tables"))


def _route_mistakes(raw: Any, routes: Sequence[str] | None, where: Where) -> Iterator[Mistake]:
    if routes is None or not isinstance(raw, Sequence) or isinstance(raw, str):
        return
    for place, name in enumerate(raw):
        if name not in routes:
            known = ", ".join(routes) or "none"
            yield (*where, "routes", place), f"'{name}' is not a route; there are: {known}"
