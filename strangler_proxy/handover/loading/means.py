"""The means of a first copy: where pages come from, where they go, and how far it is."""

from collections.abc import Sequence
from typing import Protocol

from strangler_proxy.handover.databases.port import Pair, Row, Session
from strangler_proxy.handover.loading.checkpoint import Checkpoint, Checkpoints
from strangler_proxy.handover.loading.sources import Source, choose_source
from strangler_proxy.handover.loading.targets import Target, choose_target


class Progressing(Protocol):
    """See checkpoint.Checkpoints."""

    def begin(self, pair: Pair) -> Checkpoint:
        """Where this table stands."""

    def advance(self, pair: Pair, after: Row, rows: int) -> None:
        """So many rows more are in place."""

    def finish(self, pair: Pair) -> None:
        """The table is copied."""


class Means(Protocol):
    """What copies the tables of a move to its target."""

    def pairs(self) -> Sequence[Pair]:
        """Those that are copied by themselves, in this order."""

    def checkpoints(self) -> Progressing:
        """Kept at the target."""

    def source(self, session: Session, pair: Pair) -> Source:
        """The fastest exact way to read a table."""

    def target(self, pair: Pair) -> Target:
        """The fastest exact way to write it."""


class SqlMeans:
    """Lines from tables to tables."""

    def __init__(self, pairs: Sequence[Pair], target: Session, move: str) -> None:
        self._pairs, self._target, self._move = pairs, target, move

    def pairs(self) -> Sequence[Pair]:
        """All."""
        return self._pairs

    def checkpoints(self) -> Checkpoints:
        """A table."""
        return Checkpoints(self._target, self._move)

    def source(self, session: Session, pair: Pair) -> Source:
        """By the source's kind."""
        return choose_source(session, pair, self._target.dialect)

    def target(self, pair: Pair) -> Target:
        """By the target's kind."""
        return choose_target(self._target, pair.target)
