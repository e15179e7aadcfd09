"""What two sides agree on before they spell a value alike. Pure."""

from dataclasses import dataclass

from strangler_proxy.handover.databases.port import Kind

FREE_KINDS = frozenset((Kind.TEXT, Kind.JSON, Kind.BINARY))
"""Kinds whose text may hold any character, or none at all."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """What both sides must know to spell a pair of cells alike."""

    padded: bool = False
    """Spaces at the end of a text mean nothing: one side is CHAR(n)."""

    jsonb: bool = False
    """JSON as PostgreSQL writes a jsonb; else as it stands."""


PLAIN = Spelling()
