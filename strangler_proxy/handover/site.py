"""The two databases of a move, opened and paired: what every command about a move works on."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from strangler_proxy.handover import parts
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Database, Pair, Session, TableName
from strangler_proxy.handover.faults import HandoverRefused, LockBusy
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.naming import change_table, checkpoint_table
from strangler_proxy.handover.ports import CapturePort
from strangler_proxy.handover.way import Owner, Way, forward


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a move reads and where it writes."""

    source: Database
    target: Database


@dataclass(frozen=True, slots=True)
class Site:
    """A move with a session at each end, and its tables paired as they are now.

    As `open_site` gives it, the source is the control and the target the candidate.
    """

    move: Move
    ends: Ends
    source: Session
    target: Session
    pairs: tuple[Pair, ...]
    capture: CapturePort

    @property
    def home(self) -> str | None:
        """The source's schema that holds what the move makes there."""
        return self.pairs[0].source.table.name.schema

    def way(self) -> Way:
        """The first direction; HandoverRefused with every reason why there is no way back."""
        return forward(self.move.name, self.ends.source, self.ends.target, self.pairs)

    def way_of(self, owner: Owner) -> Way:
        """The direction that begins at this owner."""
        first = self.way()
        return first if owner == Owner.CONTROL else first.turned()

    def owned_by(self, owner: Owner) -> "Site":
        """The same as seen from the owner: its side is the source, what follows the target."""
        if owner == Owner.CONTROL:
            return self
        back = self.way_of(owner)
        return replace(
            self,
            ends=Ends(back.source, back.target),
            source=self.target,
            target=self.source,
            pairs=back.pairs,
            capture=parts.capture(back.source, back.move, [pair.source for pair in back.pairs]),
        )


def open_ends(move: Move, environ: Mapping[str, str] = os.environ) -> Ends:
    """The databases that the move's variables name; connects to nothing.

    Raises HandoverRefused with what is wrong with either.
    """
    found: list[Database] = []
    reasons: list[str] = []
    for side, variable in (("source", move.source_env), ("target", move.target_env)):
        url = environ.get(variable, "")
        if not url:
            reasons.append(f"{variable} is not set: it holds the URL of the {side}'s database")
            continue
        try:
            found.append(open_database(url))
            if side == "source" and found[-1].kind == "mongodb":
                reasons.append(f"{variable}: a MongoDB is a move's target alone, and no source")
        except HandoverRefused as refused:
            reasons += [f"{variable}: {sentence}" for sentence in refused.sentences]
        except ValueError as fault:
            reasons.append(f"{variable} does not hold a database's URL: {fault}")
    if reasons:
        raise HandoverRefused(reasons)
    return Ends(*found)


@contextmanager
def open_site(move: Move, ends: Ends, statement_s: float = 60.0) -> Iterator[Site]:
    """Connect to both, and pair the tables.

    Raises HandoverRefused with every reason against the move, DatabaseUnreachable.
    """
    with (
        closing(ends.source.session(move.name, statement_s)) as source,
        closing(ends.target.session(move.name, statement_s)) as target,
    ):
        pairs = parts.pairs(move, ends.target, (source, target))
        _refuse_itself(pairs, ends)
        capture = parts.capture(ends.source, move.name, [pair.source for pair in pairs])
        yield Site(move, ends, source, target, pairs, capture)


def declared(move: Move) -> str:
    """A digest of what the move says of its tables; routes may change while it runs."""
    tables = move.model_dump(mode="json", include={"tables"})
    for table in tables["tables"]:
        for name in ("embed", "types"):  # a move begun by a version without them is still itself
            if table[name] is None:
                del table[name]
    text = json.dumps(tables, ensure_ascii=False)  # in order: parents and columns have one
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def there(session: Session, name: TableName) -> bool:
    """Whether this table is there."""
    try:
        session.describe(name)
    except HandoverRefused:
        return False
    return True


def changes_there(session: Session, move: Move, home: str | None) -> bool:
    """Whether the source has a change table of this move."""
    return there(session, TableName(home, change_table(move.name)))


def checkpoint_there(session: Session, move: Move) -> bool:
    """Whether the target has a checkpoint of this move."""
    return there(session, TableName(None, checkpoint_table(move.name)))


def _refuse_itself(pairs: tuple[Pair, ...], ends: Ends) -> None:
    """Two URLs may name one database: only a claim of its own tells."""
    alike = [
        str(pair.source.table.name)
        for pair in pairs
        if pair.source.table.name == pair.target.table.name
    ]
    if alike and ends.source.kind == ends.target.kind and _same_database(ends):
        raise HandoverRefused(
            f"{name} would move into itself: both variables name the same database"
            for name in alike
        )


def _same_database(ends: Ends) -> bool:
    name = f"same {uuid.uuid4()}"
    with closing(ends.source.session()) as source, closing(ends.target.session()) as target:
        source.claim(name)
        try:
            target.claim(name)
        except LockBusy:
            return True
    return False
