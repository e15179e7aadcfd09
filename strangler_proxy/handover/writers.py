"""Who writes the moved tables, and who of them may bypass the proxy. Pure: asks no database.

A writer is named `user@address`, on PostgreSQL with the program behind it where it gives a name:
`blog@10.0.0.5 (gunicorn)`. Never by its port, which would make a writer of each connection. A
program's name is what it says of itself, so all of this is for finding out, and protects nothing.

Two kinds of evidence. Who was **seen** in the change table may bypass the proxy unless moves.yaml
declares it; that nobody was seen is no proof, since anybody may use the application's own account.
Who was **caught** writing while every proxy held its requests and none was in flight was let
through by no proxy, whatever is declared; but a request that was answered 504 may be going on.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import Field

from strangler_proxy.config.fields import Frozen, checked
from strangler_proxy.handover.counted import counted

OTHERS = "others"
"""Whom a change is counted for when its writer is one more than are kept."""
_REPLICATION = "replication"  # MySQL has no user where a replica applies what it is sent
WriterPattern = Annotated[
    str,
    Field(max_length=400),
    checked(
        re.compile(r".*[@*].*"), "names no writer: write user@address, with * for any part of it"
    ),
]
Patterns = Annotated[tuple[WriterPattern, ...], Field(max_length=200)]


class KnownWriters(Frozen):
    """Who is expected to write, by patterns of fnmatch: `blog@10.0.0.*`, `blog@* (gunicorn)`.

    One without a program stands for every program. `may_fail`: who no longer writes, or may be
    refused by the fence.
    """

    control: Patterns = Field((), description="the applications behind the proxy, at the control")
    candidate: Patterns = Field((), description="the same at the candidate, for a rollback")
    may_fail: Patterns = Field((), description="others, whom a cut-over may refuse")


@dataclass(frozen=True, slots=True)
class Writer:
    """Somebody who was seen: how many changes, the first and the last (seconds since 1970)."""

    name: str
    changes: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class Caught:
    """Changes to one table that no proxy let through; `name` is None where nothing tells it."""

    name: str | None
    table: str
    changes: int


@dataclass(frozen=True, slots=True)
class Report:
    """Who may bypass the proxy, or does, and the whole in words, each sentence readable alone."""

    bypassing: tuple[Writer | Caught, ...]
    sentences: tuple[str, ...]


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern names this writer, with or without its program."""
    login = name.partition(" (")[0]
    return any(fnmatchcase(name, each) or fnmatchcase(login, each) for each in patterns)


def tallied(rows: Iterable[Sequence[Any]]) -> list[Writer]:
    """Sum up rows of (writer, changes, first, last); nobody made those whose writer is None."""
    found: dict[str, Writer] = {}
    for name, changes, first_at, last_at in rows:
        if name is None:
            continue
        new = Writer(name or _REPLICATION, int(changes), first_at, last_at)
        old = found.get(new.name, new)
        found[new.name] = Writer(
            new.name,
            new.changes if old is new else old.changes + new.changes,
            min(old.first_at, new.first_at),
            max(old.last_at, new.last_at),
        )
    return [found[name] for name in sorted(found)]


def judge_seen(
    seen: Sequence[Writer], known: KnownWriters, owner: Literal["control", "candidate"]
) -> Report:
    """Who of those seen at this side may bypass the proxy.

    Where nothing is declared, one alone is taken for the application.
    """
    declared: tuple[str, ...] = getattr(known, owner)
    unknown = tuple(each for each in seen if not matches(each.name, (*declared, *known.may_fail)))
    if not unknown:
        told = f"{len(seen)} writers were seen, and all are declared" if seen else "none was seen"
        return Report((), (told,))
    if not declared and len(unknown) == 1 and unknown[0].name != OTHERS:
        (alone,) = unknown
        return Report((), (f"{_seen(alone)}; it is taken for the application behind the proxy",))
    return Report(
        unknown,
        tuple(
            f"{_seen(each)}: it may bypass the proxy. Have moves.yaml say who it is, in `writers`: "
            f"under {owner} an application behind the proxy, under may_fail another whom the fence "
            "may refuse"
            for each in unknown
        ),
    )


def judge_caught(caught: Sequence[Caught], known: KnownWriters, during: str) -> Report:
    """Who wrote while nothing came through a proxy; `during` says when that was."""
    found = tuple(
        each for each in caught if each.name is None or not matches(each.name, known.may_fail)
    )
    if not found:
        return Report((), (f"nobody bypassed the proxies {during}",))
    return Report(found, tuple(f"{_caught(each)} {during}, {_WHY}" for each in found))


_WHY = (
    "with every request held and none in flight: it bypasses the proxy, or goes on with a request "
    "that was answered before it had ended (504)"
)


def _seen(writer: Writer) -> str:
    last = datetime.fromtimestamp(writer.last_at, UTC).isoformat(timespec="seconds")
    return (
        f"{writer.name} was seen to write: {counted(writer.changes, 'change')}, the last at "
        f"{last.replace('+00:00', 'Z')}"
    )


def _caught(caught: Caught) -> str:
    who = "somebody" if caught.name is None else caught.name or _REPLICATION
    return f"{who} made {counted(caught.changes, 'change')} to {caught.table}"
