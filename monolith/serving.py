"""What gunicorn is to know, checked with all other settings before it starts anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monolith.settings import Reader, Settings, SettingsError, whole

MOST = 1000


@dataclass(frozen=True, slots=True)
class Serving:
    """The address to listen on, how many processes, and how many threads in each."""

    bind: str
    workers: int
    threads: int

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Serving:
        """Read the variables.

        Raises:
            SettingsError: naming every variable that is missing or wrong, the blog's own too.
        """
        read = Reader(environ)
        bind = read.checked("BIND", "127.0.0.1:5000", str)
        workers = read.checked("WORKERS", "2", whole(1, MOST))
        try:
            threads = Settings.from_environ(environ).threads
        except SettingsError as error:
            raise SettingsError([*read.problems, *error.problems]) from None
        if read.problems:
            raise SettingsError(read.problems)
        return cls(bind, workers, threads)
