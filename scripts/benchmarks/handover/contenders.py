"""Who copies, from where, and by which command."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Origin = Literal["postgresql", "sqlite"]
POSTGRESQL: Origin = "postgresql"
SQLITE: Origin = "sqlite"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the posts are, and the empty table that they go to."""

    postgresql: str
    sqlite: Path
    target: str
    folder: Path

    def url(self, origin: Origin) -> str:
        """The origin's URL."""
        return self.postgresql if origin == POSTGRESQL else f"sqlite:///{self.sqlite}"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to copy. `program` is what must be installed for it."""

    name: str
    title: str
    origin: Origin
    program: str
    command: Callable[[Places], list[str]]

    def absent(self) -> str | None:
        """Why it cannot be measured, if it cannot."""
        if shutil.which(self.program):
            return None
        return f"{self.program} is not installed; scripts/bench handover --install brings it"

    def version(self) -> str | None:
        """The first line of what the program says of itself."""
        if self.program == sys.executable:
            return None
        told = subprocess.run(
            [self.program, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
        return told.stdout.strip().partition("\n")[0]


def _pipe(places: Places) -> list[str]:
    quoted = [shlex.quote(url) for url in (places.postgresql, places.target)]
    out, into = (f"psql --no-psqlrc --quiet {url} --command" for url in quoted)
    return [
        "bash",
        "-o",
        "pipefail",
        "-c",
        f"{out} 'COPY posts TO STDOUT' | {into} 'COPY posts FROM STDIN'",
    ]


def _pgloader(origin: Origin) -> Callable[[Places], list[str]]:
    def command(places: Places) -> list[str]:
        file = places.folder / f"{origin}.load"
        file.write_text(
            f"LOAD DATABASE FROM {places.url(origin)} INTO {places.target}\n"
            # Its default, 100,000 rows at once, exhausts its heap with rows such as these.
            " WITH data only, prefetch rows = 10000\n"
            f" INCLUDING ONLY TABLE NAMES {_NAMES[origin]};\n"
        )
        return ["pgloader", "--quiet", "--root-dir", str(places.folder), str(file)]

    return command


_NAMES: dict[Origin, str] = {
    POSTGRESQL: "MATCHING 'posts' IN SCHEMA 'public'",
    SQLITE: "LIKE 'posts'",
}


def _strangler(origin: Origin) -> Callable[[Places], list[str]]:
    def command(places: Places) -> list[str]:
        module = "scripts.benchmarks.handover.copy"
        return [sys.executable, "-m", module, places.url(origin), places.target]

    return command


CONTENDERS = (
    Contender("pipe", "two psql, piped", POSTGRESQL, "psql", _pipe),
    Contender("pgloader", "pgloader", POSTGRESQL, "pgloader", _pgloader(POSTGRESQL)),
    Contender("strangler", "strangler", POSTGRESQL, sys.executable, _strangler(POSTGRESQL)),
    Contender("pgloader-sqlite", "pgloader", SQLITE, "pgloader", _pgloader(SQLITE)),
    Contender("strangler-sqlite", "strangler", SQLITE, sys.executable, _strangler(SQLITE)),
)
