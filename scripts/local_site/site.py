"""A site's place: its folder, its files, its ports, its environment, and what runs of it."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts import moved, stack
from scripts.carving import front
from scripts.local_site import checks
from scripts.local_site.given import Settled, settle
from strangler_proxy.config import Config, ConfigError
from strangler_proxy.journal import LedgerError
from strangler_proxy.shared_files import replace_text
from strangler_proxy.steps import script
from strangler_proxy.steps.parts.launch import start_time
from strangler_proxy.steps.script import StepError

UNREADABLE = (ConfigError, LedgerError, StepError, json.JSONDecodeError)
DEFAULT = stack.Ports()
SERVED = ("monolith", *stack.SERVICES)


class UnusableError(Exception):
    """The site cannot be started as it is described, or not now; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Started:
    """A program that was started here: its process, known by pid and start time, and its port."""

    name: str
    pid: int
    started: str | None
    port: int

    @property
    def runs(self) -> bool:
        """Whether that very process lives."""
        return self.started is not None and start_time(self.pid) == self.started


@dataclass(frozen=True, slots=True)
class Site:
    """Where the site keeps its things, and what strangler.yaml says of it."""

    folder: Path
    routes: Path
    config: Config

    @property
    def env_file(self) -> Path:
        """The file of its environment, which a shell can source."""
        return self.folder / "env"

    @property
    def kept(self) -> dict[str, str]:
        """What its environment was before, with whatever has been changed in the file."""
        return stack.read_environment(self.env_file) if self.env_file.exists() else {}

    @property
    def logs(self) -> Path:
        """Where its programs write; what the steps have started writes into `run_dir`."""
        return self.folder / "log"

    @property
    def run_dir(self) -> Path:
        """Where steps keep their ledgers, and the process ids of what they have started."""
        return self.routes.parent / ".strangler"

    def ports(self, given: Mapping[str, str]) -> stack.Ports:
        """Those of strangler.yaml, and of the stand-ins as kept, given or usual.

        Raises UnusableError.
        """
        upstreams, named = self.config.upstreams, {**given, **self.kept}
        lacking = set(SERVED) - set(upstreams)
        if lacking:
            raise UnusableError(f"{self.routes} needs upstreams: {', '.join(sorted(lacking))}")

        def port(stand_in: str) -> int:
            variable = f"{stand_in.upper()}_PORT"
            text = named.get(variable) or str(getattr(DEFAULT, stand_in))
            if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
                raise UnusableError(f"{variable} is {text!r}; write a port from 1 to 65535")
            return int(text)

        return stack.Ports(
            proxy=self.config.address.port,
            **{name: upstreams[name].origins[0].address.port for name in SERVED},
            **{name: port(name) for name in stack.STAND_INS},
        )

    def settle(self, given: Mapping[str, str]) -> Settled:
        """Its environment, with what this one gives. Raises UnusableError with all its faults."""
        made = stack.environment(self.folder, self.ports(given), stack.new_secrets())
        settled = settle({**made, **self._addresses()}, self.kept, given)
        wrong = [*settled.lacking, *checks.problems(settled.values)]
        if wrong:
            raise UnusableError(
                "nothing was started. To be mended, where it was given or in"
                f" {self.env_file}:\n" + "\n".join(f"  - {each}" for each in wrong)
            )
        return settled

    def keep(self, values: Mapping[str, str]) -> None:
        """Keep its environment for the next start, and for shells."""
        stack.write_environment(self.env_file, values)

    def view(self, environ: Mapping[str, str]) -> moved.View:
        """What the steps have moved, and so has to run. Raises one of UNREADABLE."""
        os.environ.update(environ)  # where steps look for it
        return moved.view(self.routes, self.run_dir, Path(environ["SEAMS_FILE"]))

    def started(self) -> list[Started]:
        """What was started here and not stopped yet, alive or not, in its order.

        Raises UnusableError when that is not to be read any more.
        """
        try:
            return _read(self._processes.read_text("utf-8"))
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as damage:
            raise UnusableError(
                f"{self._processes} is damaged, so that it is not known what runs of the site:"
                " delete it, and scripts/up names each port that something of it still has"
            ) from damage

    def note(self, started: list[Started]) -> None:
        """Keep what was started, durably, so that another process can stop it."""
        if not started:
            self._processes.unlink(missing_ok=True)
            return
        known = [asdict(each) for each in started]
        replace_text(self._processes, json.dumps(known, indent=2) + "\n")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else brings it up meanwhile. Raises UnusableError when somebody does."""
        handle = os.open(self.folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UnusableError(
                    f"another scripts/up has {self.folder} in its hands; see --status and --down"
                ) from None
            yield
        finally:
            os.close(handle)

    def _addresses(self) -> dict[str, str]:
        """What strangler.yaml alone decides."""
        served, auth = self.config.upstreams, self.config.upstreams["auth"].direct_url.rstrip("/")
        return {
            "STRANGLER_CONFIG": str(self.routes),
            "STRANGLER_LEDGERS": str(self.run_dir),
            "PROXY_URL": front(script.Site(self.config, self.routes, self.run_dir)),
            "IMAGE_SERVICE_URL": served["image"].direct_url.rstrip("/"),
            "AUTH_SERVICE_URL": auth,
            "JWKS_URL": f"{auth}/.well-known/jwks.json",
            **{f"{name.upper()}_BIND": str(served[name].origins[0].address) for name in SERVED},
        }

    @property
    def _processes(self) -> Path:
        return self.folder / "processes.json"


def _read(text: str) -> list[Started]:
    known = json.loads(text)
    if not isinstance(known, list):
        raise TypeError("it is no list")
    return [Started(**each) for each in known]
