"""Commands for a running proxy: flip, status, breaker, drain."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from strangler_proxy.cli.app import (
    BAD_CONFIG,
    DEFAULT_PATH,
    FAILED,
    NOT_RUNNING,
    AsJson,
    ConfigPath,
    app,
    show,
    stop,
)
from strangler_proxy.config import Canary, ConfigError, Serve

if TYPE_CHECKING:
    from strangler_proxy.running.flip import Side


class BreakerState(StrEnum):
    """What an operator may say of a breaker."""

    open = "open"
    closed = "closed"
    auto = "auto"


@app.command(
    epilog="Examples:  strangler flip upload image --to 5%   strangler flip upload --to candidate"
    "   strangler flip upload --to canary   strangler flip --upstream image --to 10%"
)
def flip(
    to: Annotated[
        str, typer.Option(help="control, candidate, canary, or a percent of callers: 5%.")
    ],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ROUTE]...", help="Names of routes.")
    ] = None,
    upstream: Annotated[
        list[str] | None,
        typer.Option(help="Set an upstream's canary instead: all routes that say so follow."),
    ] = None,
    sticky: Annotated[
        str | None,
        typer.Option(help="What a caller is known by: client, subject, header:X, cookie:X."),
    ] = None,
    config: ConfigPath = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Change who serves routes; returns when every worker of the running proxy does so."""
    from strangler_proxy.admin.changes import serve_in_words
    from strangler_proxy.running import flip as flip_routes
    from strangler_proxy.running import flip_upstreams

    side = _side(to)
    if bool(names) == bool(upstream):
        stop(BAD_CONFIG, "name routes, or an upstream with --upstream, and not both")
    with _outcome():
        if names:
            flipped: Any = flip_routes(config, names, side, sticky)
        elif isinstance(side, int):
            flipped = flip_upstreams(config, upstream or [], side, sticky)
        else:
            stop(BAD_CONFIG, f"--to {to}: an upstream's canary is a percent from 0% to 100%")
    if as_json:
        percents = {name: _percent(value) for name, value in flipped.after.items()}
        serve = {name: serve_in_words(value) for name, value in flipped.after.items()}
        told = {
            "generation": flipped.generation,
            "candidate_percent": percents,
            "serve": serve,
        }
        typer.echo(json.dumps(told))
        return
    for name, value in flipped.after.items():
        before = serve_in_words(flipped.before[name])
        typer.echo(f"{name}: {before} -> {serve_in_words(value)}, served by all workers")


@app.command(epilog="Example:  strangler status --json")
def status(config: ConfigPath = DEFAULT_PATH, as_json: AsJson = False) -> None:
    """Show the running proxy: its workers, its upstreams, how each side of each route answered."""
    from strangler_proxy.running import RunningProxy

    proxy = RunningProxy(config)
    with _outcome():
        now, counts, upstreams = proxy.status(), proxy.counts(), proxy.upstreams()
    if as_json:
        sides = {route: {u: s.as_json() for u, s in row.items()} for route, row in counts.items()}
        workers = [
            {"pid": w.pid, "generation": w.generation, "connections": w.connections}
            for w in now.workers
        ]
        told = {
            "pid": now.pid,
            "listen": now.listen,
            "generation": now.generation,
            "workers": workers,
            "upstreams": upstreams,
            "counts": sides,
        }
        typer.echo(json.dumps(told, indent=2))
        return
    show(
        f"http://{now.listen}  generation {now.generation}  workers {len(now.workers)}",
        _sides(counts),
        _upstreams(upstreams),
    )


@app.command(
    epilog="Examples:  strangler breaker image open   (nothing is sent there any more)   "
    "strangler breaker image auto   (it judges again)"
)
def breaker(
    upstream: Annotated[str, typer.Argument(help="The upstream whose breaker it is.")],
    state: Annotated[BreakerState, typer.Argument(help="auto: let it judge by itself again.")],
    config: ConfigPath = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Hold an upstream's breaker open or closed, in every worker, or let it judge again."""
    from strangler_proxy.running import RunningProxy

    with _outcome():
        RunningProxy(config).set_breaker(upstream, state.value)
    if as_json:
        typer.echo(json.dumps({"upstream": upstream, "state": state.value}))
    else:
        held = {"auto": "judges by itself again"}.get(state, f"is held {state}")
        typer.echo(f"{upstream}: its breaker {held}")


@app.command(
    epilog="Examples:  strangler drain image 127.0.0.1:3003   "
    "strangler drain image 127.0.0.1:3003 --undo"
)
def drain(
    upstream: Annotated[str, typer.Argument(help="The upstream that the address is one of.")],
    address: Annotated[str, typer.Argument(help="host:port, as `strangler status` shows it.")],
    undo: Annotated[bool, typer.Option("--undo", help="Send it requests again.")] = False,
    config: ConfigPath = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Send an address no new requests; what is in flight there finishes."""
    from strangler_proxy.running import RunningProxy

    with _outcome():
        RunningProxy(config).drain_address(upstream, address, draining=not undo)
    if as_json:
        typer.echo(json.dumps({"upstream": upstream, "address": address, "draining": not undo}))
    else:
        typer.echo(f"{upstream}: {address} gets {'requests again' if undo else 'no new requests'}")


@contextmanager
def _outcome() -> Iterator[None]:
    """What goes wrong with a running proxy, as an exit code and a word."""
    from strangler_proxy.running import ProxyUnreachable, Refused

    try:
        yield
    except ProxyUnreachable as fault:
        stop(NOT_RUNNING, str(fault))
    except (ConfigError, Refused, ValueError) as refused:
        stop(BAD_CONFIG, str(refused))
    except OSError as fault:
        stop(FAILED, str(fault))


def _side(text: str) -> "Side":
    words: dict[str, Side] = {
        "control": "control",
        "candidate": "candidate",
        "canary": "canary",
    }
    if text in words:
        return words[text]
    number = text.removesuffix("%")
    if not (number.isascii() and number.isdecimal()) or int(number) > 100:
        stop(
            BAD_CONFIG,
            f"--to {text}: write control, candidate, canary, or a percent from 0% to 100%",
        )
    return int(number)


def _percent(value: Serve | Canary) -> int | None:
    """The percent itself; None where the upstream's canary says it."""
    if isinstance(value, Canary):
        return value.percent
    return None if value.by_upstream else value.candidate_percent


def _sides(counts: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("route", "upstream", "requests", "failures", "p50 ms", "p99 ms")
    for route, row in sorted(counts.items()):
        for upstream, side in sorted(row.items()):
            quantiles = [side.latency.quantile_s(fraction) for fraction in (0.5, 0.99)]
            times = ["-" if value is None else f"{value * 1000:.1f}" for value in quantiles]
            table.add_row(route, upstream, str(side.requests), str(side.failures), *times)
    return table


def _upstreams(rows: list[dict[str, Any]]) -> Table:
    table = Table("upstream", "breaker", "in flight", "waiting", "address", "state")
    for row in rows:
        forced = " (held)" if row.get("forced") else ""
        head = (f"{row['breaker'] or '-'}{forced}", str(row["in_flight"]), str(row["waiting"]))
        addresses = row["addresses"] or [None]
        for number, address in enumerate(addresses):
            cells = ("-", "no address known") if address is None else _address(address)
            table.add_row(*((row["name"], *head) if number == 0 else ("", "", "", "")), *cells)
    return table


def _address(row: dict[str, Any]) -> tuple[str, str]:
    words = ["well" if row["well"] else "not well"]
    if row["draining"]:
        words.append("draining")
    if row["ejected"]:
        words.append(f"left out by {row['ejected']} workers")
    return row["address"], ", ".join(words)
