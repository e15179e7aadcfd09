"""Two databases asked at the same time, each by its own thread over its own session.

A thread waits in its driver, which lets the other run meanwhile. Everything is read outside of
transactions, so each statement sees what is committed when it begins.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

from strangler_proxy.handover.databases.canonical import SESSION
from strangler_proxy.handover.databases.conversion import reading, writing
from strangler_proxy.handover.databases.port import Database, Pair, Row, Session, Side
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.verify import statements
from strangler_proxy.handover.verify.bisect import Found, Part, Reader, Sum, Suspect
from strangler_proxy.handover.verify.functions import parsed, register
from strangler_proxy.handover.verify.report import Texts
from strangler_proxy.handover.verify.statements import PROBE, Statements

T = TypeVar("T")
_AT_ONCE = 100  # rows whose values are fetched together; each may be large
_DIGESTS_AT_ONCE = 500


class SideReader:
    """One side of a pair, asked over one session; see bisect.Reader."""

    def __init__(self, session: Session, asked: Statements) -> None:
        self._session = session
        self._asked = asked
        side, dialect = asked.side, session.dialect
        self._first = side.key_cells[:1]
        self._neutral = reading(dialect, side.key_cells)
        self._raw = writing(dialect, side.key_cells)
        self._width = len(side.key)

    def total(self, part: Part) -> Sum:
        """The number of rows and the sum of their digests."""
        ((rows, digest),) = self._session.rows(self._asked.total(part), self._bounds(part))
        return Sum(int(rows), int(digest))

    def cut(self, part: Part, rows: int) -> Any:
        """The first key column's value behind so many rows."""
        found = self._session.rows(self._asked.cut(part, rows), self._bounds(part))
        return reading(self._session.dialect, self._first)(found)[0][0] if found else None

    def by_bucket(self, part: Part) -> Mapping[int, Sum]:
        """One scan of the part."""
        found: Iterable[Row] = self._session.rows(self._asked.by_bucket(part), self._bounds(part))
        if self._session.dialect.kind == "sqlite":
            found = parsed(found)
        return {int(bucket): Sum(int(rows), int(digest)) for bucket, rows, digest in found}

    def found(self, part: Part) -> Mapping[Row, Found]:
        """Keys and digests."""
        rows = self._session.rows(self._asked.found(part), self._bounds(part))
        raw_keys = [row[:-1] for row in rows]
        return {
            key: Found(int(row[-1]), raw)
            for key, raw, row in zip(self._neutral(raw_keys), raw_keys, rows, strict=True)
        }

    def texts(self, keys: Mapping[Row, Row | None]) -> Mapping[Row, Texts]:
        """The texts of the rows with these keys, of those that there are.

        Given by neutral key; the raw one is made of it where it is not known.
        """
        return {row[0]: row[1:] for row in self._by_keys(keys, self._asked.texts, _AT_ONCE)}

    def digests(self, keys: Mapping[Row, Row | None]) -> Mapping[Row, int]:
        """The digests of the rows with these keys, likewise."""
        found = self._by_keys(keys, self._asked.digests, _DIGESTS_AT_ONCE)
        return {key: int(digest) for key, digest in found}

    def _by_keys(
        self, keys: Mapping[Row, Row | None], sql: Callable[[int], str], at_once: int
    ) -> Iterator[Row]:
        """The rows of these keys: the neutral key, then what the statement shows."""
        raw_keys = [raw or self._raw([key])[0] for key, raw in keys.items()]
        for at in range(0, len(raw_keys), at_once):
            some = raw_keys[at : at + at_once]
            rows = self._session.rows(sql(len(some)), [value for raw in some for value in raw])
            named = self._neutral(row[: self._width] for row in rows)
            for key, row in zip(named, rows, strict=True):
                # A collation may have found a key that is spelled otherwise.
                if key in keys:
                    yield (key, *row[self._width :])

    def _bounds(self, part: Part) -> Sequence[Any]:
        given = [(value,) for value in (part.low, part.high) if value is not None]
        return [row[0] for row in writing(self._session.dialect, self._first)(given)]


class Asked:
    """A pair as both sides answer for it; see bisect.Ask."""

    def __init__(self, sides: "Sides", readers: tuple[SideReader, SideReader]) -> None:
        self._sides = sides
        self._readers = readers

    def both(self, question: Callable[[Reader], T]) -> tuple[T, T]:
        """Both at the same time."""
        one, other = (
            self._sides.submit(side, partial(question, self._readers[side])) for side in (0, 1)
        )
        wait((one, other))
        return one.result(), other.result()

    def one(self, side: int, question: Callable[[Reader], T]) -> T:
        """One of them."""
        return self._sides.submit(side, partial(question, self._readers[side])).result()

    def texts(self, side: int, keys: Mapping[Row, Row | None]) -> Mapping[Row, Texts]:
        """The texts of rows at one side."""
        return self._sides.submit(side, partial(self._readers[side].texts, keys)).result()

    def unlike(self, rows: Sequence[Suspect]) -> list[Suspect]:
        """Which of these differ by their digests, asked of both sides at the same time."""
        one, other = (
            self._sides.submit(
                side,
                partial(self._readers[side].digests, {row.key: row.raw_keys[side] for row in rows}),
            )
            for side in (0, 1)
        )
        wait((one, other))
        source, target = one.result(), other.result()
        return [row for row in rows if source.get(row.key) != target.get(row.key)]


class Sides:
    """Two sessions, open until closed; waits of any statement are bounded by `statement_s`."""

    def __init__(self, source: Database, target: Database, statement_s: float) -> None:
        self._databases = source, target
        self._threads = tuple(
            ThreadPoolExecutor(1, thread_name_prefix=f"verify-{name}") for name in ("from", "to")
        )
        self._sessions: list[Session] = []
        try:
            for side in (0, 1):
                self._sessions.append(
                    self.submit(side, partial(_opened, self._databases[side], statement_s)).result()
                )
            self._native = self._same_hash()
        except BaseException:
            self.close()
            raise

    def of(self, pair: Pair) -> Asked:
        """Both sides of this pair."""
        kinds = self._databases[0].dialect.kind, self._databases[1].dialect.kind
        spelled = statements.spellings(pair, kinds)
        native = statements.hashed(pair) if self._native else ()
        one, other = (
            SideReader(session, Statements(session.dialect, side, spelled, native))
            for session, side in zip(self._sessions, _sides(pair), strict=True)
        )
        return Asked(self, (one, other))

    def submit(self, side: int, work: Callable[[], T]) -> "Future[T]":
        """Let a side's own thread do this."""
        return self._threads[side].submit(work)

    def close(self) -> None:
        """Hang up on both sides."""
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)
        while self._sessions:
            self._sessions.pop().close()

    def _same_hash(self) -> bool:
        if any(database.kind != "postgresql" for database in self._databases):
            return False
        versions = [int(session.scalar("SHOW server_version_num")) for session in self._sessions]
        if min(versions) < 140_000:
            return False
        one, other = (session.scalar(PROBE) for session in self._sessions)
        return bool(one == other)


def _sides(pair: Pair) -> tuple[Side, Side]:
    return pair.source, pair.target


def _opened(database: Database, statement_s: float) -> Session:
    session = database.session(statement_s=statement_s)
    try:
        _prepare(database, session)
    except BaseException:
        session.close()
        raise
    return session


def _prepare(database: Database, session: Session) -> None:
    for statement in SESSION[session.dialect.kind]:
        session.execute(statement)
    if database.kind == "sqlite":
        register(session.raw)
    elif database.kind == "postgresql":
        encoding = session.scalar("SHOW server_encoding")
        if encoding != "UTF8":
            raise HandoverRefused(
                f"{database.shown} is encoded in {encoding}, where UTF8 is needed"
            )
