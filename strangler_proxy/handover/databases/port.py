"""What a move asks of a database, whichever it is: values, and two protocols. Opens nothing.

A **dialect** is pure: it makes SQL text. A **session** is one connection: it alone does I/O.

How to write SQL for a session, so that it means the same everywhere:

- parameters stand as `dialect.placeholder`, and identifiers come from `dialect.quote` or
  `dialect.table`;
- a session always interprets its text, also without parameters. So a literal percent sign is
  written `dialect.escaped(text)`; what quote, table and `Cell.sql` give is escaped already. Raw
  COPY of psycopg must be called as `cursor.copy(sql, ())` to interpret it likewise;
- every session speaks UTC (PostgreSQL TimeZone, MySQL time_zone) and UTF-8.

Values between databases are **neutral**: int, Decimal, float, str, bytes, bool, datetime (naive,
UTC, microseconds), date, time, uuid.UUID, and JSON as str; None is NULL. `dialect.read(cell)` says
how to get one out (SQL, and what is left to do in Python), `dialect.write(cell)` how to put one in.

A **raw** value is what the driver gives for `dialect.read(cell).sql`, before that conversion. Rows
are looked up in the database that they came from by their raw keys: a text that stands for a UUID
is found as it is spelled there. `keys.encode` and `keys.decode` keep raw keys as text, and capture
writes the same text.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

Row = tuple[Any, ...]
Convert = Callable[[Any], Any]
DatabaseKind = Literal["sqlite", "postgresql", "mysql"]
"""Those that speak SQL."""
AnyKind = Literal["sqlite", "postgresql", "mysql", "mongodb"]


class Kind(StrEnum):
    """What a moved value is, agreed by both sides of a move."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    BINARY = "binary"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    TIME = "time"
    UUID = "uuid"
    JSON = "json"


class TableName(NamedTuple):
    """A table as a database knows it; without a schema, the connection's own is meant."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class Column:
    """One column as its database describes it.

    `declared` is the type as the database spells it, lower case, with its length ('varchar(40)',
    'timestamp with time zone', SQLite's as declared). `kinds` are those that it can hold without
    loss, the natural one first; none when a move does not know the type. `generated` columns are
    computed by the database and cannot be written. `identity`: the database numbers it.
    `scale`: digits after the point of a decimal, of the fraction of a second for times; None
    where the type has none or leaves it open. `collation` is the database's name of it.
    """

    name: str
    declared: str
    kinds: tuple[Kind, ...]
    nullable: bool
    generated: bool = False
    identity: bool = False
    scale: int | None = None
    collation: str | None = None
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns that refer to another table; the actions are upper case, as SQL spells them."""

    columns: tuple[str, ...]
    to: TableName
    to_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as its database describes it; `primary_key` is empty where it has none.

    `unique` are its other unique keys, by columns. `name.schema` is always filled in by
    PostgreSQL and MySQL (there: the database).
    """

    name: TableName
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()

    def column(self, name: str) -> Column | None:
        """The column of that name (as the database spells it), if there is one."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a moved row, seen from one side.

    `sql` reads it: a quoted column, or at a source an expression over its row. `column` is None
    for such an expression, which cannot be written. Escaped, see above. One that is not `compared`
    may differ between the sides.
    """

    kind: Kind
    sql: str
    column: Column | None
    compared: bool = True

    @property
    def name(self) -> str:
        """The column's name; an expression has none."""
        return self.column.name if self.column else ""


@dataclass(frozen=True, slots=True)
class Side:
    """A moved table, seen from one database; both sides have the same cells in the same order.

    `key` are the places of the key's cells within `cells`, in the key's order. Key cells are
    columns on both sides.
    """

    table: Table
    cells: tuple[Cell, ...]
    key: tuple[int, ...]

    @property
    def key_cells(self) -> tuple[Cell, ...]:
        """The cells that name a row."""
        return tuple(self.cells[place] for place in self.key)

    def key_of(self, row: Row) -> Row:
        """The key of a row that has a value for every cell."""
        return tuple(row[place] for place in self.key)


@dataclass(frozen=True, slots=True)
class Pair:
    """A table and where it moves to."""

    source: Side
    target: Side


class Reading(NamedTuple):
    """SQL of a value, and what makes a neutral value of what the driver gives (None: it is one)."""

    sql: str
    convert: Convert | None = None


class Writing(NamedTuple):
    """What stands for a parameter in VALUES, and what makes of a value what the driver wants."""

    sql: str
    convert: Convert | None = None


class Dialect(Protocol):
    """A database's SQL as text; pure. Statements take neutral values put through `write(cell)`."""

    kind: DatabaseKind
    placeholder: str
    most_parameters: int

    def quote(self, identifier: str) -> str:
        """Any legal identifier, quoted and escaped."""

    def table(self, name: TableName) -> str:
        """A table's name, quoted and escaped, with its schema where it is given."""

    def escaped(self, sql: str) -> str:
        """SQL from elsewhere as a session takes it."""

    def read(self, cell: Cell) -> Reading:
        """How this value is read."""

    def write(self, cell: Cell) -> Writing:
        """How this value is written, or compared with; the cell must be a column."""

    def insert(self, side: Side, rows: int = 1) -> str:
        """INSERT of whole rows; parameters: each row's cells in order."""

    def upsert(self, side: Side, rows: int = 1) -> str:
        """INSERT that overwrites the row of the same key; parameters as for `insert`.

        Needs a primary or unique key over exactly the key's columns. A clash with another
        unique key fails; nothing is ever overwritten but the row with this key.
        """

    def delete(self, side: Side, keys: int = 1) -> str:
        """DELETE of rows by key; parameters: each key's values in the key's order."""

    def by_keys(self, side: Side, keys: int) -> str:
        """SELECT of all cells, by `read`, of rows with these keys; parameters: the raw keys.

        Where a collation takes two texts for one, a row may come whose key is spelled otherwise.
        """

    def page(self, side: Side, after: bool, rows: int) -> str:
        """SELECT of all cells of the next `rows` rows in the key's order, by `read`.

        With `after`: those behind a raw key, given as `page_parameters` says.
        """

    def page_parameters(self, raw_key: Sequence[Any]) -> Sequence[Any]:
        """Parameters of a page behind this raw key."""

    def literal(self, text: str) -> str:
        """Text as a string in SQL, escaped."""

    def captured_key(self, side: Side, row: str) -> str:
        """The raw key as `keys.encode` writes it, of a row named NEW, OLD, or an alias."""


class Session(Protocol):
    """One connection, of one thread at a time. Outside transactions each statement commits.

    Opened with a mover's name, everything it does in `transaction` is left out by that move's
    capture, and passes its fences. Every statement has a time limit. Any method may raise
    DatabaseUnreachable (connection lost or refused), LockBusy (somebody else keeps what it needs,
    or a deadlock: the transaction is rolled back and may be tried again), Clash (a constraint
    refuses a row); other faults of the database are the driver's own.
    """

    raw: Any
    """The driver's connection (sqlite3, psycopg, pymysql), for COPY and the like."""
    enforces_references: bool
    """Whether foreign keys are checked, and deletes cascade, in this session's transactions.

    Only where the database lets it do no other: PostgreSQL, for a role that may not set
    session_replication_role. Rows then must come parents first, and go children first.
    """

    @property
    def dialect(self) -> Dialect:
        """The SQL that it speaks."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement; gives the number of rows it touched (-1 where that has no meaning)."""

    def define(self, sql: str) -> None:
        """Run one statement that makes or drops something, where it cannot be rolled back.

        Where the database can, without queueing for tables that writers use. Raises LockBusy.
        """

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row of parameters, as fast as the driver can."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Every row of a small answer."""

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first value of the first row; None when there is no row."""

    def stream(
        self, sql: str, parameters: Sequence[Any] = (), batch_rows: int = 1000
    ) -> Generator[list[Row], None, None]:
        """The rows in batches, kept at the server meanwhile; use it inside `snapshot`.

        Nothing else may be asked of this session until it is exhausted or closed.
        """

    def transaction(self) -> AbstractContextManager[None]:
        """Read committed, or what the database has; commits at the end, rolls back on any error.

        Marks its changes as the mover's. On SQLite it has the write lock from the start.
        """

    def snapshot(self) -> AbstractContextManager[None]:
        """A transaction that only reads, all of it as of one moment (its beginning)."""

    def claim(self, name: str) -> None:
        """Be the only one with this name at this database until closed; LockBusy if another is."""

    def describe(self, name: TableName) -> Table:
        """The table as it is; HandoverRefused when there is none that can be moved."""

    def fingerprint(self, table: Table) -> str:
        """Text that changes when the table is altered, truncated by re-creation, or replaced."""

    def close(self) -> None:
        """Hang up; what is not committed is rolled back. May be called again."""


class Database(Protocol):
    """A database that can be connected to, as often as needed, from any thread."""

    shown: str
    """Its URL for people, without the password."""

    @property
    def kind(self) -> AnyKind:
        """Which it is."""

    @property
    def dialect(self) -> Dialect:
        """The SQL that it speaks."""

    def session(self, mover: str | None = None, statement_s: float = 60.0) -> Session:
        """Connect; `statement_s` bounds each statement and each wait for a lock.

        Raises DatabaseUnreachable.
        """
