"""`python -m extracted.chassis.schema upgrade auth`: bring a service's schema up to date.

Each database has its own Alembic history, `migrations/<service>`. Exit codes: 0 done, 1 failed,
2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from extracted.chassis.database import database_url, open_engine, said

MIGRATIONS = Path(__file__).parents[2] / "migrations"

app = typer.Typer(add_completion=False)


def upgrade(url: str, service: str, revision: str = "head") -> None:
    """Bring the schema of the service up to `revision`. Safe to kill and to repeat.

    Raises ValueError when there is no such history, and what the database raises.
    """
    versions = MIGRATIONS / service / "versions"
    if not versions.is_dir():
        raise ValueError(f"there is no schema history {versions.parent}")
    path = make_url(url).database
    if url.startswith("sqlite") and path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    config = Config()
    for option, place in (("script_location", MIGRATIONS), ("version_locations", versions)):
        config.set_main_option(option, str(place).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    engine = open_engine(url, patient=True)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


@app.callback()
def main() -> None:
    """Schema histories of the services' databases."""


@app.command("upgrade")
def upgrade_command(
    service: Annotated[str, typer.Argument(help="Whose history: auth, posts, payment.")],
    database: Annotated[
        str, typer.Option("--database", envvar="DATABASE_URL", help="Where the tables are.")
    ],
    revision: Annotated[str, typer.Option(help="Up to this revision.")] = "head",
) -> None:
    """Bring a service's schema up to date. Safe to kill and to repeat."""
    try:
        url = database_url(database)
    except ValueError as error:
        typer.echo(f"DATABASE_URL {error}", err=True)
        raise typer.Exit(2) from error
    try:
        upgrade(url, service, revision)
    except ValueError as error:
        typer.echo(f"schema: {error}", err=True)
        raise typer.Exit(2) from error
    except SQLAlchemyError as error:
        told = f"The schema of {service} could not be brought up to date: {said(error)}"
        typer.echo(told, err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app(prog_name="python -m extracted.chassis.schema")
