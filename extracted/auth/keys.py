"""`python -m extracted.auth.keys`: makes, rotates and lists the keys that tokens are signed with.

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from extracted.auth import keyfolder
from extracted.auth.keyfolder import KeyFolderError
from extracted.auth.keyring import Lives, Standing, signer, standings
from extracted.chassis.clock import rfc3339, utc_now

app = typer.Typer(add_completion=False)

Folder = Annotated[
    Path, typer.Option("--dir", envvar="SIGNING_KEYS", help="The folder of the keys.")
]
Ttl = Annotated[int, typer.Option(envvar="TOKEN_TTL_S", min=60, help="How long tokens live.")]
Delay = Annotated[
    int, typer.Option(envvar="SIGNING_DELAY_S", min=10, help="How long a key waits to sign.")
]


@app.callback()
def main() -> None:
    """The keys that tokens are signed with."""


@app.command()
def new(folder: Folder) -> None:
    """Make the first key. Safe to repeat: a folder that has keys stays as it is."""
    if any(folder.glob("*.pem")):
        typer.echo(f"{folder} has keys already; `rotate` adds another.")
        return
    typer.echo(f"Made {_made(folder)}.")


@app.command()
def rotate(folder: Folder, ttl_s: Ttl = 86400, delay_s: Delay = 120) -> None:
    """Add a key, which signs when everybody has fetched it, and remove those that are over.

    Running services take it up by themselves. A key stays as long as the longest-lived tokens
    that a service, or this command, was ever told of here.
    """
    lives = _lives(ttl_s, delay_s)
    _loaded(folder, lives)
    _noted(folder, lives)
    kid = _made(folder)
    typer.echo(f"Made {kid}, which signs in {delay_s} s.")
    for standing in _loaded(folder, lives):
        if not standing.is_published(utc_now()):
            keyfolder.remove(folder, standing.key)
            typer.echo(f"Removed {standing.key.kid}: its tokens are over.")


@app.command("list")
def list_keys(
    folder: Folder,
    ttl_s: Ttl = 86400,
    delay_s: Delay = 120,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say of each key whether it signs, will sign, or is only still accepted."""
    lives, now = _lives(ttl_s, delay_s), utc_now()
    order = _loaded(folder, lives)
    signing = signer([each.key for each in order], lives, now)
    told = [_told(each, each.key is signing, now) for each in order]
    if as_json:
        typer.echo(json.dumps(told))
        return
    for each in told:
        until = f" until {each['until']}" if each["until"] else ""
        typer.echo(f"{each['kid']}  {each['state']}{until}")


def _told(standing: Standing, signs: bool, now: datetime) -> dict[str, str | None]:
    """What the key is for now, and until when."""
    state, until = ("signs", None) if signs else _beside(standing, now)
    told = None if until is None else rfc3339(until)
    return {"kid": standing.key.kid, "state": state, "until": told}


def _beside(standing: Standing, now: datetime) -> tuple[str, datetime | None]:
    """What a key is for that does not sign now."""
    if now < standing.signs_from:
        return "waits", standing.signs_from
    if standing.is_published(now):
        return "accepted", standing.published_until
    return "over", None


def _lives(ttl_s: int, delay_s: int) -> Lives:
    return Lives(timedelta(seconds=delay_s), timedelta(seconds=ttl_s))


def _loaded(folder: Path, lives: Lives) -> list[Standing]:
    try:
        return standings(keyfolder.load(folder), keyfolder.longest(folder, lives))
    except KeyFolderError as error:
        typer.echo(f"keys: {error}", err=True)
        raise typer.Exit(1) from error


def _noted(folder: Path, lives: Lives) -> None:
    try:
        keyfolder.note(folder, lives)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _made(folder: Path) -> str:
    try:
        return keyfolder.make(folder, utc_now()).kid
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> typer.Exit:
    typer.echo(f"keys: {folder} cannot be written: {error.strerror}", err=True)
    return typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m extracted.auth.keys")
