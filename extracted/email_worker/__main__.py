"""`python -m extracted.email_worker`: mails what happens until stopped.

Exit codes: 0 stopped, or what it needs is there; 1 something is away; 2 wrong settings.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from extracted.chassis import logs
from extracted.chassis.database import said
from extracted.chassis.settings import SettingsError
from extracted.email_worker.settings import Settings
from extracted.email_worker.status import Status, look
from extracted.email_worker.worker import open_memory, work

app = typer.Typer(add_completion=False)


@app.command()
def email_worker(
    status: Annotated[
        bool, typer.Option("--status", help="Say whether broker and mail server answer.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --status: as JSON.")] = False,
) -> None:
    """Mail what happens until stopped by SIGTERM or SIGINT. docs/services.md has the settings."""
    try:
        settings = Settings.from_environ(os.environ)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if status:
        found = look(settings)
        typer.echo(_as_json(found) if as_json else _as_text(found))
        raise typer.Exit(0 if found.is_ready else 1)
    try:
        memory = open_memory(settings)
    except (SQLAlchemyError, OSError) as error:
        typer.echo(f"MEMORY_FILE {settings.memory_file} cannot be used: {said(error)}", err=True)
        raise typer.Exit(1) from error
    logs.configure("email_worker")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with closing(memory):
        work(settings, memory, stop)


def _as_json(status: Status) -> str:
    return json.dumps({"ready": status.is_ready, **asdict(status)})


def _as_text(status: Status) -> str:
    letters = "" if status.dead_letters is None else f"; dead letters: {status.dead_letters}"
    return f"broker: {status.broker or 'answers'}{letters}\nsmtp: {status.smtp or 'answers'}"


if __name__ == "__main__":
    app(prog_name="python -m extracted.email_worker")
