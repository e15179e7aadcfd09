"""What can go wrong with a move, said for people: what, where, and what to do about it."""

from collections.abc import Iterable


class HandoverFault(Exception):
    """A move cannot go on."""


class DatabaseUnreachable(HandoverFault):
    """A database does not answer, refuses the login, or went away; trying again may help."""


class HandoverRefused(HandoverFault):
    """The move itself must change, or a person must decide; trying again alone does not help.

    `sentences` holds every reason that was found, each readable alone.
    """

    def __init__(self, sentences: str | Iterable[str]) -> None:
        self.sentences = (sentences,) if isinstance(sentences, str) else tuple(sentences)
        super().__init__("\n".join(self.sentences))


class LockBusy(HandoverFault):
    """Writers kept a table for longer than was waited, or another mover runs this move."""


class Clash(HandoverFault):
    """A row was refused by a constraint of its table: a unique key, a reference, a check."""
