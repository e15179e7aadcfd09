"""Which part does a piece of work, by the databases that it is done at. The only place that asks.

What is for documents is imported only where a move has some: its driver may not be installed.
"""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, TypeGuard

from strangler_proxy.handover import sequences
from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.databases.port import (
    Database,
    Pair,
    Row,
    Session,
    Side,
    TableName,
)
from strangler_proxy.handover.fence import Fence
from strangler_proxy.handover.loading.checkpoint import copied_rows
from strangler_proxy.handover.loading.means import Means, SqlMeans
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.naming import checkpoint_table
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.ports import CapturePort, FencePort, TailPort, VerifierPort
from strangler_proxy.handover.tail import Queue, Tail
from strangler_proxy.handover.verify import Limits, Pending, Report, Verifier
from strangler_proxy.handover.verify import repair as repair_tables
from strangler_proxy.handover.waiting import waiting_keys

if TYPE_CHECKING:
    from strangler_proxy.handover.databases.mongodb import MongoDatabase, MongoSession

_MOST_WAITING = 20_000  # changes of documents, held in memory


def pairs(move: Move, target: Database, sessions: tuple[Session, Session]) -> tuple[Pair, ...]:
    """Each table of the move on both sides; HandoverRefused with everything against it."""
    if _has_documents(target):
        from strangler_proxy.handover.documents.pairing import pair_documents

        return pair_documents(move, sessions[0])
    return pair_tables(move, *sessions)


def capture(database: Database, move: str, sides: Sequence[Side]) -> CapturePort:
    """What records the changes of these tables, all that the move has at this database."""
    if _has_documents(database):
        from strangler_proxy.handover.documents.stream import StreamCapture

        return StreamCapture(database, move, sides)
    return Capture(database, move, sides)


def fence(database: Database, move: str, sides: Sequence[Side]) -> FencePort:
    """What shuts these tables, all that the move has at this database."""
    if _has_documents(database):
        from strangler_proxy.handover.documents.fence import RuleFence

        return RuleFence(database, move, sides)
    return Fence(database, move, sides)


def means(moved: Sequence[Pair], target: Session, move: str) -> Means:
    """What copies these tables."""
    if _is_of_documents(target):
        from strangler_proxy.handover.documents.loading import DocumentMeans

        return DocumentMeans(moved, target, move)
    return SqlMeans(moved, target, move)


def tail(
    move: str, moved: Sequence[Pair], queue: Queue, source: Session, target: Session
) -> TailPort:
    """What carries changes over."""
    if _is_of_documents(target):
        from strangler_proxy.handover.documents.tail import DocumentTail

        return DocumentTail(move, moved, queue, source, target)
    if _is_of_documents(source):
        from strangler_proxy.handover.documents.back import RowTail

        return RowTail(move, moved, queue, source, target)
    return Tail(move, moved, queue, source, target)


def verifier(
    moved: Sequence[Pair], source: Database, target: Database, limits: Limits | None = None
) -> VerifierPort:
    """What compares the two sides, connected."""
    if _has_documents(source) or _has_documents(target):
        from strangler_proxy.handover.documents.verifying import DocumentVerifier

        return DocumentVerifier(moved, source, target, limits)
    return Verifier(source, target, limits)


def repair(
    report: Report,
    moved: Sequence[Pair],
    source: Database,
    target: Database,
    carrier: TailPort,
    *,
    mover: str,
    limits: Limits,
    pending: Pending,
    tail: Callable[[], object],
) -> Report:
    """Make the listed rows of the target what they are at the source, and verify them again."""
    if _has_documents(source) or _has_documents(target):
        from strangler_proxy.handover.documents.repairing import repair as repair_documents

        return repair_documents(report, moved, source, target, carrier, limits, pending, tail)
    return repair_tables(
        report, moved, source, target, mover=mover, limits=limits, pending=pending, tail=tail
    )


def waiting(queue: CapturePort, session: Session) -> Pending:
    """What tells which keys have changes that wait."""
    if not _is_of_documents(session):
        return waiting_keys(queue, session)

    def keys(pair: Pair, wanted: Collection[Row]) -> Collection[Row]:
        name = str(pair.source.table.name)
        entries = queue.entries(session, _MOST_WAITING)
        return {entry.key for entry in entries if entry.table == name}.intersection(wanted)

    return keys


def number(pair: Pair, source: Session, target: Session, margin: int) -> tuple[str, ...]:
    """See sequences.set_."""
    if _is_of_documents(source) or _is_of_documents(target):
        from strangler_proxy.handover.documents.numbering import set_

        return set_(pair, source, target, margin)
    return sequences.set_(pair, source, target, margin)


def copied_alone(moved: Sequence[Pair], target: Session) -> Sequence[Pair]:
    """The tables whose rows are counted: what is embedded comes along with others."""
    if _is_of_documents(target):
        from strangler_proxy.handover.databases.mongodb.side import trees

        return [tree.root for tree in trees(moved)]
    return moved


def copied(move: str, moved: Sequence[Pair], target: Session) -> dict[str, tuple[int, bool]]:
    """Rows copied so far, and whether all are, by `source > target`; the checkpoint is there."""
    if _is_of_documents(target):
        from strangler_proxy.handover.documents.loading import copied_documents

        return copied_documents(target, move, moved)
    return copied_rows(target, move)


def drop_checkpoint(move: str, target: Session) -> None:
    """How far the copy was is forgotten."""
    if _is_of_documents(target):
        from strangler_proxy.handover.documents.loading import drop_checkpoints

        return drop_checkpoints(move, target)
    table = target.dialect.table(TableName(None, checkpoint_table(move)))
    target.execute(f"DROP TABLE IF EXISTS {table}")
    return None


def lost(moved: Sequence[Pair], source: Session, target: Session) -> list[str]:
    """Rows that would have no place at the target, as sentences; reads whole tables."""
    if _is_of_documents(target):
        from strangler_proxy.handover.documents.pairing import orphans

        return list(orphans(moved, source))
    return []


def doubts(reverse: CapturePort, target: Session) -> tuple[str, ...]:
    """Why there would be no way back, which does not keep a move from being begun."""
    return reverse.missing(target) if _is_of_documents(target) else ()


def _has_documents(database: Database) -> TypeGuard["MongoDatabase"]:
    return database.kind == "mongodb"


def _is_of_documents(session: Session) -> TypeGuard["MongoSession"]:
    """Without its driver nobody has a session of MongoDB."""
    return getattr(session, "kind", None) == "mongodb"
