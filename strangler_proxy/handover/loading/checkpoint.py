"""How far each table is, kept at the target and committed together with the rows themselves.

So a mover that is killed at any moment finds, when it is run again, exactly the rows that its
checkpoint speaks of.
"""

from dataclasses import dataclass

from strangler_proxy.handover.databases import keys
from strangler_proxy.handover.databases.port import Pair, Row, Session, TableName
from strangler_proxy.handover.naming import checkpoint_table

# Names and keys keep their letters whatever the database's own default is.
_OPTIONS = {"mysql": " ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a table stands. `plain`: the target was empty at first, so rows are simply inserted."""

    after: Row | None
    rows: int
    plain: bool
    done: bool


class Checkpoints:
    """The checkpoint table of a move, seen through one session."""

    def __init__(self, session: Session, move: str) -> None:
        self._session = session
        self._table = session.dialect.table(TableName(None, checkpoint_table(move)))
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {self._table} (moved VARCHAR(400) NOT NULL PRIMARY KEY, "
            "last_key TEXT, moved_rows BIGINT NOT NULL, plain SMALLINT NOT NULL, "
            f"done SMALLINT NOT NULL){_OPTIONS.get(session.dialect.kind, '')}"
        )

    def begin(self, pair: Pair) -> Checkpoint:
        """Where this table stands; it is entered if it is new."""
        mark = self._session.dialect.placeholder
        found = self._session.rows(
            f"SELECT last_key, moved_rows, plain, done FROM {self._table} WHERE moved = {mark}",  # noqa: S608
            (_name(pair),),
        )
        if found:
            ((key, rows, plain, done),) = found
            return Checkpoint(keys.decode(key) if key else None, rows, bool(plain), bool(done))
        target = self._session.dialect.table(pair.target.table.name)
        with self._session.transaction():
            empty = not self._session.rows(f"SELECT 1 FROM {target} LIMIT 1")  # noqa: S608
            self._session.execute(
                f"INSERT INTO {self._table} VALUES ({mark}, NULL, 0, {mark}, 0)",  # noqa: S608
                (_name(pair), int(empty)),
            )
        return Checkpoint(None, 0, empty, False)

    def advance(self, pair: Pair, after: Row, rows: int) -> None:
        """So many rows more are in place, the last with this raw key; in the rows' transaction."""
        mark = self._session.dialect.placeholder
        self._session.execute(
            f"UPDATE {self._table} SET last_key = {mark}, moved_rows = moved_rows + {mark} "  # noqa: S608
            f"WHERE moved = {mark}",
            (keys.encode(after), rows, _name(pair)),
        )

    def finish(self, pair: Pair) -> None:
        """The table is copied."""
        mark = self._session.dialect.placeholder
        self._session.execute(
            f"UPDATE {self._table} SET done = 1 WHERE moved = {mark}",  # noqa: S608
            (_name(pair),),
        )


def copied_rows(session: Session, move: str) -> dict[str, tuple[int, bool]]:
    """Rows copied so far, and whether all are, by `source > target`; the table is there."""
    table = session.dialect.table(TableName(None, checkpoint_table(move)))
    rows = session.rows(f"SELECT moved, moved_rows, done FROM {table}")  # noqa: S608
    return {name: (int(count), bool(done)) for name, count, done in rows}


def _name(pair: Pair) -> str:
    return f"{pair.source.table.name} > {pair.target.table.name}"
