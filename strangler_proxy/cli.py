"""The command `strangler`: reads arguments, calls the part that does the work, shows the outcome.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 no proxy is running.
"""

import asyncio
import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from strangler_proxy.config import Config, ConfigError, Route, load, parse
from strangler_proxy.config.starter import starter

if TYPE_CHECKING:
    from strangler_proxy.running.flip import Side

app = typer.Typer(
    help="Carve services out of a Flask monolith, one route at a time.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Start with:  strangler check -c strangler.yaml  &&  strangler serve -c strangler.yaml",
)
ConfigPath = Annotated[
    Path, typer.Option("-c", "--config", help="The configuration file.", envvar="STRANGLER_CONFIG")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DEFAULT_PATH = Path("strangler.yaml")
FAILED, BAD_CONFIG, NOT_RUNNING = 1, 2, 3


def main() -> None:
    """Run the command line."""
    app()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"strangler_proxy {version('strangler-proxy')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")
    ] = False,
) -> None:
    """Carve services out of a Flask monolith, one route at a time."""


@app.command(epilog="Example:  strangler serve -c strangler.yaml --workers 4")
def serve(
    config: ConfigPath = DEFAULT_PATH,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes, one a core.")] = 1,
) -> None:
    """Run the proxy until SIGTERM or Ctrl-C, then finish what is in flight."""
    from strangler_proxy.running.socket_path import AlreadyRunning
    from strangler_proxy.serve.run import serve as run
    from strangler_proxy.serve.sockets import AddressInUse

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s [%(process)d] %(message)s"
    )
    values = _load(config)
    try:
        asyncio.run(run(config, values, workers))
    except ConfigError as refused:
        _stop(BAD_CONFIG, str(refused))
    except (AddressInUse, AlreadyRunning, OSError) as fault:
        _stop(FAILED, str(fault))


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
        _stop(BAD_CONFIG, "\n".join(problem.message for problem in refused.problems))
    except FileExistsError:
        _stop(FAILED, f"{config} is there already; it is left as it is")
    except OSError as fault:
        _stop(FAILED, f"{config} cannot be written: {fault.strerror}")
    print(f"{config}: written; next:  strangler serve -c {config}")


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
            print(json.dumps({"ok": False, "problems": rows}, indent=2))
            raise typer.Exit(BAD_CONFIG) from None
        _stop(BAD_CONFIG, str(refused))
    if as_json:
        print(json.dumps({"ok": True, "problems": []}))
    else:
        print(f"{config}: good; {len(values.upstreams)} upstreams, {len(values.routes)} routes")


@app.command(
    epilog="Example:  strangler schema > strangler.schema.json   then, first in strangler.yaml:  "
    "# yaml-language-server: $schema=strangler.schema.json"
)
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors to complete and check by."""
    print(json.dumps(Config.model_json_schema(mode="validation"), indent=2))


@app.command(epilog="Example:  strangler routes --json | jq '.[] | select(.percent > 0)'")
def routes(config: ConfigPath = DEFAULT_PATH, as_json: AsJson = False) -> None:
    """Show every route and who serves it."""
    values = _load(config)
    if as_json:
        print(json.dumps([_row(route) for route in values.routes], indent=2))
        return
    Console().print(_table(values))


@app.command(
    epilog="Examples:  strangler flip upload image --to 5%   strangler flip upload --to candidate"
)
def flip(
    names: Annotated[list[str], typer.Argument(metavar="ROUTE...", help="Names of routes.")],
    to: Annotated[str, typer.Option(help="control, candidate, or a percent of callers: 5%.")],
    sticky: Annotated[
        str | None, typer.Option(help="What a caller is known by: client, header:X, cookie:X.")
    ] = None,
    config: ConfigPath = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Change who serves routes; returns when every worker of the running proxy does so."""
    from strangler_proxy.running import ProxyUnreachable
    from strangler_proxy.running import flip as change

    side = _side(to)
    try:
        flipped = change(config, names, side, sticky)
    except ProxyUnreachable as fault:
        _stop(NOT_RUNNING, str(fault))
    except (ConfigError, ValueError) as refused:
        _stop(BAD_CONFIG, str(refused))
    if as_json:
        after = {name: serve.candidate_percent for name, serve in flipped.after.items()}
        print(json.dumps({"generation": flipped.generation, "candidate_percent": after}))
        return
    for name, serve in flipped.after.items():
        before = flipped.before[name].candidate_percent
        print(f"{name}: candidate {before}% -> {serve.candidate_percent}%, served by all workers")


@app.command(epilog="Example:  strangler status --json")
def status(config: ConfigPath = DEFAULT_PATH, as_json: AsJson = False) -> None:
    """Show the running proxy: its workers, and how each side of each route has answered."""
    from strangler_proxy.running import ProxyUnreachable, RunningProxy

    proxy = RunningProxy(config)
    try:
        now, counts = proxy.status(), proxy.counts()
    except ProxyUnreachable as fault:
        _stop(NOT_RUNNING, str(fault))
    if as_json:
        sides = {route: {u: s.as_json() for u, s in row.items()} for route, row in counts.items()}
        workers = [
            {"pid": w.pid, "generation": w.generation, "connections": w.connections}
            for w in now.workers
        ]
        head = {"pid": now.pid, "listen": now.listen, "generation": now.generation}
        print(json.dumps({**head, "workers": workers, "counts": sides}, indent=2))
        return
    table = Table("route", "upstream", "requests", "failures", "p50 ms", "p99 ms")
    for route, row in sorted(counts.items()):
        for upstream, side in sorted(row.items()):
            quantiles = [side.latency.quantile_s(fraction) for fraction in (0.5, 0.99)]
            times = ["-" if value is None else f"{value * 1000:.1f}" for value in quantiles]
            table.add_row(route, upstream, str(side.requests), str(side.failures), *times)
    console = Console()
    console.print(f"http://{now.listen}  generation {now.generation}  workers {len(now.workers)}")
    console.print(table)


def _load(path: Path) -> Config:
    try:
        return load(path)
    except ConfigError as refused:
        _stop(BAD_CONFIG, str(refused))


def _stop(code: int, message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


def _side(text: str) -> "Side":
    if text in ("control", "candidate"):
        return "control" if text == "control" else "candidate"
    number = text.removesuffix("%")
    if not number.isdecimal() or int(number) > 100:
        _stop(BAD_CONFIG, f"--to {text}: write control, candidate, or a percent from 0% to 100%")
    return int(number)


def _row(route: Route) -> dict[str, object]:
    return {
        "name": route.name,
        "match": route.match,
        "control": route.control,
        "candidate": route.candidate,
        "percent": route.serve.candidate_percent,
        "sticky": route.serve.sticky,
    }


def _table(config: Config) -> Table:
    table = Table("route", "match", "served by", "control", "candidate")
    for route in config.routes:
        percent = route.serve.candidate_percent
        served = {0: route.control, 100: route.candidate or ""}.get(
            percent, f"{percent}% {route.candidate}"
        )
        table.add_row(route.name, route.match, served, route.control, route.candidate or "-")
    table.add_row("(default)", "whatever no route names", config.default, config.default, "-")
    return table
