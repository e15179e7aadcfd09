"""Where a move stands, from the records of its ledger. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class RecordKind(StrEnum):
    """What a record tells."""

    RUN = "run"
    BEGUN = "begun"
    CAPTURED = "captured"
    COPIED = "copied"
    CAUGHT_UP = "caught_up"
    STOPPED = "stopped"
    REMOVING = "removing"
    REMOVED = "removed"
    RETIRING = "retiring"
    RETIRED = "retired"


class Phase(StrEnum):
    """What comes next, or is under way."""

    NEW = "not begun"
    CAPTURE = "installing capture"
    COPY = "copying"
    TAIL = "tailing"
    REMOVAL = "being removed"
    RETIREMENT = "being retired"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Begun:
    """What a move was begun with: the same must hold whenever it goes on.

    `declared` is the digest of its tables in moves.yaml; `source` and `target` are the databases
    without passwords; `fingerprint` is that of fingerprint.py; `home`: the schema of its tables,
    `target_home`: that of the target's, None too where an earlier version has not noted it.
    """

    at: str
    declared: str
    source: str
    target: str
    fingerprint: str
    home: str | None
    target_home: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a move stands. Times are those of the ledger; `ended`: why the last mover
    ended, None while it runs and when it was killed. `dropped`: its old tables are gone.
    """

    phase: Phase = Phase.NEW
    begun: Begun | None = None
    captured_at: str | None = None
    copied_at: str | None = None
    caught_up_at: str | None = None
    ended: str | None = None
    dropped: bool = False


_FOLLOWS = {
    RecordKind.CAPTURED: (Phase.COPY, "captured_at"),
    RecordKind.COPIED: (Phase.TAIL, "copied_at"),
    RecordKind.CAUGHT_UP: (Phase.TAIL, "caught_up_at"),
}


def standing(records: Iterable[Mapping[str, Any]]) -> Standing:
    """Where these records, oldest first, leave the move."""
    now = Standing()
    for record in records:
        now = _after(now, record)
    return now


def _after(now: Standing, record: Mapping[str, Any]) -> Standing:
    kind = RecordKind(record["kind"])
    if kind in _FOLLOWS:
        phase, when = _FOLLOWS[kind]
        changed: dict[str, Any] = {when: record["at"]}
        return replace(now, phase=phase, **changed)
    match kind:
        case RecordKind.RUN:
            started = record["command"] == "start"
            return replace(now, ended=None) if started else now
        case RecordKind.STOPPED:
            return replace(now, ended=record["why"])
        case RecordKind.BEGUN:
            return Standing(Phase.CAPTURE, _begun(record))
        case RecordKind.REMOVING:
            return replace(now, phase=Phase.REMOVAL)
        case RecordKind.RETIRING:
            return replace(now, phase=Phase.RETIREMENT)
        case RecordKind.RETIRED:
            return replace(now, phase=Phase.RETIRED, dropped=record["dropped"])
    return Standing()


def _begun(record: Mapping[str, Any]) -> Begun:
    return Begun(
        record["at"],
        record["declared"],
        record["source"],
        record["target"],
        record["fingerprint"],
        record["home"],
        record.get("target_home"),
    )
