"""`python -m extracted.chassis.events`: what was put aside of a queue (`dead …`), and `empty`.

Exit codes: 0 done, 1 failed or not found, 2 wrong usage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extracted.chassis.events.opening import open_broker
from extracted.chassis.events.port import (
    NAME,
    Broker,
    BrokerUnavailableError,
    Contents,
    DeadLetter,
    DeadLetters,
)

FAILED, BAD_USAGE = 1, 2

BrokerUrl = Annotated[
    str, typer.Option("--broker", envvar="BROKER_URL", help="amqp://… or sqlite:///…")
]
Queue = Annotated[str, typer.Option("--queue", help="The consumer's queue, such as mail.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of events, as `list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All of the queue.")]

Kept = TypeVar("Kept", Contents, DeadLetters)

app = typer.Typer(help="Events between services.", no_args_is_help=True)
dead = typer.Typer(
    help="Dead letters: events whose every try failed, or that could not be read.",
    no_args_is_help=True,
    epilog="Start with:  python -m extracted.chassis.events dead list --queue mail",
)
app.add_typer(dead, name="dead")


@app.callback()
def options() -> None:
    """Events between services."""


@app.command()
def empty(
    broker: BrokerUrl,
    queue: Queue,
    sure: Annotated[bool, typer.Option("--yes", help="Do it; else it only says how many.")] = False,
    as_json: AsJson = False,
) -> None:
    """Throw away for good all that waits in a queue, to be tried again and dead letters too.

    For events about what nobody keeps any more. Stop the queue's consumer before.
    """
    with _used(broker, queue, lambda found: found.contents(queue)) as contents:
        number = contents.empty() if sure else contents.count()
    if as_json:
        typer.echo(json.dumps({"queue": queue, "emptied" if sure else "waiting": number}))
    elif sure:
        typer.echo(f"{queue}: {number} thrown away")
    else:
        typer.echo(f"{queue}: {number} would be thrown away; --yes does it")


@dead.command("list")
def list_letters(
    broker: BrokerUrl,
    queue: Queue,
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, max=100_000, help="The oldest so many.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """List them, the oldest first; they stay where they are."""
    with _letters(broker, queue) as letters:
        found = letters.list(number)
    if as_json:
        typer.echo(json.dumps([_fields(letter) for letter in found], indent=2))
        return
    if not found:
        typer.echo(f"{queue}: no dead letters", err=True)
        return
    table = Table("died", "event", "type", "key", "tries", "reason")
    for letter in found:
        message = letter.message
        died = letter.died_at.isoformat(" ", "seconds")
        cells = (died, message.id, message.topic, message.key, letter.failures, letter.reason)
        table.add_row(*(Text(_plain(str(cell))) for cell in cells))
    Console().print(table)


@dead.command()
def show(
    broker: BrokerUrl,
    queue: Queue,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
) -> None:
    """Show one of them whole, as JSON. It may hold addresses and names of people."""
    with _letters(broker, queue) as letters:
        for letter in letters.list(100_000):
            if letter.message.id == event_id:
                typer.echo(json.dumps(_fields(letter) | {"event": _body(letter)}, indent=2))
                return
    _stop(FAILED, f"{queue} has no dead letter {event_id!r}; `dead list` shows what it has.")


@dead.command()
def replay(
    broker: BrokerUrl, queue: Queue, ids: Ids = None, every: All = False, as_json: AsJson = False
) -> None:
    """Put them into the queue again, as if never tried."""
    wanted = _wanted(ids, every)
    with _letters(broker, queue) as letters:
        _settled("replayed", queue, letters.replay(wanted), wanted, as_json)


@dead.command()
def discard(
    broker: BrokerUrl, queue: Queue, ids: Ids = None, every: All = False, as_json: AsJson = False
) -> None:
    """Throw them away for good."""
    wanted = _wanted(ids, every)
    with _letters(broker, queue) as letters:
        _settled("discarded", queue, letters.discard(wanted), wanted, as_json)


def _letters(broker: str, queue: str) -> AbstractContextManager[DeadLetters]:
    return _used(broker, queue, lambda found: found.dead_letters(queue))


@contextmanager
def _used(broker: str, queue: str, of: Callable[[Broker], Kept]) -> Iterator[Kept]:
    """What a broker keeps of a queue; the command ends where it cannot be used."""
    if not NAME.fullmatch(queue):
        _stop(BAD_USAGE, f"--queue {queue!r} is no name for a queue: a-z, 0-9, _ and -.")
    try:
        kept = of(open_broker(broker))
    except ValueError as error:
        _stop(BAD_USAGE, f"BROKER_URL {error}")
    try:
        yield kept
    except BrokerUnavailableError as error:
        _stop(FAILED, str(error))
    finally:
        kept.close()


def _wanted(ids: list[str] | None, every: bool) -> frozenset[str] | None:
    if bool(ids) == every:
        _stop(BAD_USAGE, "Name the events by their ids, or say --all.")
    return frozenset(ids) if ids else None


def _settled(
    done: str, queue: str, number: int, wanted: frozenset[str] | None, as_json: bool
) -> None:
    if as_json:
        typer.echo(json.dumps({"queue": queue, done: number}))
    else:
        typer.echo(f"{queue}: {number} {done}")
    if wanted is not None and number < len(wanted):
        _stop(FAILED, f"{len(wanted) - number} of these ids are not among its dead letters.")


def _fields(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.message.id,
        "type": letter.message.topic,
        "key": letter.message.key,
        "tries": letter.failures,
        "reason": letter.reason,
        "died_at": letter.died_at.isoformat(),
    }


def _body(letter: DeadLetter) -> Any:
    text = letter.message.body.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plain(text: str) -> str:
    """On one line, without anything that a terminal would obey."""
    return text if text.isprintable() else json.dumps(text)


def _stop(code: int, message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
