"""The command that shows who changed what. No proxy need run."""

import json
from typing import Annotated, Any

import typer

from strangler_proxy.cli.app import (
    DEFAULT_PATH,
    FAILED,
    AsJson,
    ConfigPath,
    app,
    load_or_stop,
    stop,
)


@app.command(
    epilog="Examples:  strangler audit -n 5   strangler audit --json | jq '.[] | select(.who)'"
)
def audit(
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, max=1_000_000, help="The last so many.")
    ] = 20,
    config: ConfigPath = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Show the last changes: when, who, what, from what, to what."""
    from strangler_proxy.admin.audit import audit_path, last_entries

    path = audit_path(load_or_stop(config), config)
    try:
        entries = last_entries(path, number)
    except OSError as fault:
        stop(FAILED, f"{path} cannot be read: {fault.strerror or fault}")
    if as_json:
        typer.echo(json.dumps(entries, indent=2))
        return
    if not entries:
        typer.echo(f"{path}: no changes yet", err=True)
    for entry in entries:
        typer.echo(_line(entry))


def _line(entry: dict[str, Any]) -> str:
    time, who, what, before, after = (
        _text(entry.get(key)) for key in ("time", "who", "what", "from", "to")
    )
    note = f"  ({_text(entry['note'])})" if "note" in entry else ""
    return f"{time}  {who}  {what}: {before} -> {after}{note}"


def _text(value: Any) -> str:
    """A value on one line, without anything that a terminal would obey."""
    if value is None:
        return "nothing"
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)
