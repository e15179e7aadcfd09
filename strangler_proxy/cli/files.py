"""Commands about the file: init, check, schema, routes. No proxy need run."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from strangler_proxy.admin.rows import route_row
from strangler_proxy.cli.app import (
    BAD_CONFIG,
    DEFAULT_PATH,
    FAILED,
    AsJson,
    ConfigPath,
    app,
    load_or_stop,
    show,
    stop,
)
from strangler_proxy.config import Config, ConfigError, load, parse
from strangler_proxy.config.starter import starter


@app.command(epilog="Example:  strangler init http://127.0.0.1:5000")
def init(
    monolith: Annotated[str, typer.Argument(metavar="URL", help="Where the monolith listens.")],
    config: ConfigPath = DEFAULT_PATH,
) -> None:
    """Write a first configuration that sends everything to the monolith; never over another."""
    text = starter(monolith)
    try:
        parse(text, str(config))
        with config.open("x", encoding="utf-8") as file:
            file.write(text)
    except ConfigError as refused:
        stop(BAD_CONFIG, "\n".join(problem.message for problem in refused.problems))
    except FileExistsError:
        stop(FAILED, f"{config} is there already; it is left as it is")
    except OSError as fault:
        stop(FAILED, f"{config} cannot be written: {fault.strerror}")
    typer.echo(f"{config}: written; next:  strangler serve -c {config}")


@app.command(epilog="Example:  strangler check -c strangler.yaml && echo good")
def check(config: ConfigPath = DEFAULT_PATH, as_json: AsJson = False) -> None:
    """Read the configuration and tell everything that is wrong with it, with file and line."""
    try:
        values = load(config)
    except ConfigError as refused:
        if as_json:
            rows = [
                {"file": p.file, "line": p.line, "where": p.where, "message": p.message}
                for p in refused.problems
            ]
            typer.echo(json.dumps({"ok": False, "problems": rows}, indent=2))
            raise typer.Exit(BAD_CONFIG) from None
        stop(BAD_CONFIG, str(refused))
    if as_json:
        typer.echo(json.dumps({"ok": True, "problems": []}))
    else:
        typer.echo(
            f"{config}: good; {len(values.upstreams)} upstreams, {len(values.routes)} routes"
        )


@app.command(
    epilog="Example:  strangler schema > strangler.schema.json   then, first in strangler.yaml:  "
    "# yaml-language-server: $schema=strangler.schema.json"
)
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors to complete and check by."""
    typer.echo(json.dumps(Config.model_json_schema(mode="validation"), indent=2))


@app.command(epilog="Example:  strangler routes --json | jq '.[] | select(.percent > 0)'")
def routes(config: ConfigPath = DEFAULT_PATH, as_json: AsJson = False) -> None:
    """Show every route, who serves it, and what is asked of its callers."""
    values = load_or_stop(config)
    rows = [route_row(values, route) for route in values.routes]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("route", "match", "served by", "control", "candidate", "conditions")
    for row in rows:
        sides = (row["control"], row["candidate"] or "-")
        table.add_row(row["name"], row["match"], _served_by(row), *sides, _conditions(row))
    everything_else = ("whatever no route names", values.default, values.default, "-", "-")
    table.add_row("(default)", *everything_else)
    show(table)


def _served_by(row: dict[str, Any]) -> str:
    if "parts" in row:
        return "composed of " + ", ".join(row["parts"])
    whole = {0: row["control"], 100: row["candidate"]}
    canary = ", its canary" if row["serve"] == "canary" else ""
    served = whole.get(row["percent"]) or f"{row['percent']}% {row['candidate']}"
    return f"{served}{canary}"


def _conditions(row: dict[str, Any]) -> str:
    token = [f"token {row['token']}"] if row["token"] else []
    return "; ".join([*token, *row["rate_limits"]]) or "-"
