"""What all commands share: the application, common options, and how a command ends."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from strangler_proxy.config import Config, ConfigError, load

FAILED, BAD_CONFIG, NOT_RUNNING = 1, 2, 3
DEFAULT_PATH = Path("strangler.yaml")
ConfigPath = Annotated[
    Path, typer.Option("-c", "--config", help="The configuration file.", envvar="STRANGLER_CONFIG")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

app = typer.Typer(
    help="Carve services out of a Flask monolith, one route at a time.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Start with:  strangler check -c strangler.yaml  &&  strangler serve -c strangler.yaml",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"strangler_proxy {version('strangler-proxy')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")
    ] = False,
) -> None:
    """Carve services out of a Flask monolith, one route at a time."""


def load_or_stop(path: Path) -> Config:
    """The configuration, or the end of the command with all that is wrong with it."""
    try:
        return load(path)
    except ConfigError as refused:
        stop(BAD_CONFIG, str(refused))


def stop(code: int, message: str) -> NoReturn:
    """End the command with a word about why."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def show(*things: Any) -> None:
    """Print for people: tables as wide as the terminal."""
    console = Console()
    for thing in things:
        console.print(thing)
