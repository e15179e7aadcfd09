"""The blog behind the proxy on this machine, on the default ports, with its data under var/.

Started in the foreground it stays until Ctrl-C; `--detach` leaves it running, and `--status` and
`--down` find it again by the process ids and start times in var/processes.json. The secrets in
var/env are made once, and kept, so that tokens and pictures stay good over a restart; what is
changed there by hand is kept as well. What the steps have moved is started again by their own parts
(scripts/moved.py), and stopped with the rest.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from scripts import moved, stack
from scripts.processes import (
    ROOT,
    ComponentFailedError,
    Fleet,
    Program,
    stop_known,
    stop_services,
)
from strangler_proxy.config import Config, ConfigError, load
from strangler_proxy.journal import LedgerError
from strangler_proxy.steps import script
from strangler_proxy.steps.parts import StartProcess
from strangler_proxy.steps.parts.launch import start_time
from strangler_proxy.steps.script import StepError
from strangler_proxy.steps.step import PartFailed

FAILED, UNUSABLE = 1, 2
UNREADABLE = (LedgerError, StepError, json.JSONDecodeError)
DEFAULT = stack.Ports()
WATCH_S = 0.5
STOP_TIMEOUT_S = 15.0

HOW_TO_GO_ON = """\
The blog is up, behind the proxy:

    proxy      http://127.0.0.1:{ports.proxy}         every request goes in here
    monolith   http://127.0.0.1:{ports.monolith}
    S3         http://127.0.0.1:{ports.object_store}         objects in {folder}/objects
    mail       smtp://127.0.0.1:{ports.mail_sink}         messages in {folder}/mail
    Stripe     http://127.0.0.1:{ports.stripe_double}        its double; charges in {folder}/stripe
    logs       {folder}/log

Try it:

    curl -s http://127.0.0.1:{ports.proxy}/health
    curl -s http://127.0.0.1:{ports.proxy}/register -H 'Content-Type: application/json' \\
        -d '{{"email": "ann@example.org", "password": "correct horse", "name": "Ann"}}'
    token=$(curl -s http://127.0.0.1:{ports.proxy}/login -H 'Content-Type: application/json' \\
        -d '{{"email": "ann@example.org", "password": "correct horse"}}' \\
        | python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')
    curl -s http://127.0.0.1:{ports.proxy}/posts -H "Authorization: Bearer $token" \\
        -F title=Hello -F body='With a picture' -F image=@photograph.jpg
    curl -s http://127.0.0.1:{ports.proxy}/posts

Carve services out of it, in a shell with the site's environment:

    set -a; . {folder}/env; set +a
    scripts/step_1_image.py                 prints the plan; --execute, --status and --undo act
    scripts/step_2_auth.py                  then step_3_posts.py and step_4_payment.py
"""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the site keeps its things, and what strangler.yaml says of it."""

    folder: Path
    routes: Path
    config: Config

    @property
    def kept(self) -> dict[str, str]:
        """What the site's environment was before, with whatever has been changed in the file."""
        path = self.folder / "env"
        return stack.read_environment(path) if path.exists() else {}

    @property
    def ports(self) -> stack.Ports:
        """The ports of strangler.yaml and var/env, and the defaults of what they do not name."""
        upstreams, kept = self.config.upstreams, self.kept

        def port(name: str, default: int) -> int:
            return urlsplit(kept.get(name, "")).port or default

        return stack.Ports(
            proxy=self.config.address.port,
            monolith=upstreams["monolith"].origins[0].address.port,
            **{name: upstreams[name].origins[0].address.port for name in stack.SERVICES},
            object_store=port("S3_ENDPOINT_URL", DEFAULT.object_store),
            mail_sink=port("SMTP_URL", DEFAULT.mail_sink),
            stripe_double=port("STRIPE_API_BASE", DEFAULT.stripe_double),
        )

    @property
    def processes(self) -> Path:
        """The file that names what is running."""
        return self.folder / "processes.json"

    def environment(self) -> dict[str, str]:
        """Write and return the site's environment: what was kept, and defaults for the rest."""
        made = stack.environment(self.folder, self.ports, stack.new_secrets())
        environ = {**made, **self.kept, "IMAGE_SERVICE_URL": made["IMAGE_SERVICE_URL"]}
        stack.write_environment(self.folder / "env", environ)
        return environ

    @property
    def run_dir(self) -> Path:
        """Where steps keep their ledgers, and the process ids of what they have started."""
        return self.routes.parent / ".strangler"

    def moved(self, environ: Mapping[str, str]) -> tuple[StartProcess, ...]:
        """What the steps have moved, and so has to run. Raises one of UNREADABLE."""
        os.environ.update(environ)  # where steps look for it
        seen = script.Site(self.config, self.routes, self.run_dir)
        standing = moved.look(seen, Path(environ["SEAMS_FILE"]))
        return moved.needed(moved.programs(seen), standing)


def bring_up(site: Site, *, detach: bool, say: Callable[[str], None]) -> int:
    """Start everything in order; stay until interrupted unless detached. Returns an exit code."""
    running = [name for name, alive in _known(site) if alive]
    if running:
        say(f"up: already running: {', '.join(running)}; see --status and --down")
        return UNUSABLE
    environ = site.environment()
    fleet = Fleet(site.folder / "log")
    try:
        _start(site, fleet, environ, say)
        say("\n" + HOW_TO_GO_ON.format(ports=site.ports, folder=site.folder))
        if detach:
            say("It stays up: scripts/up --status says how it is, scripts/up --down stops it.")
            return 0
        say("Ctrl-C stops it.")
        while True:
            fleet.check()
            time.sleep(WATCH_S)
    except (ComponentFailedError, PartFailed, *UNREADABLE) as failed:
        say(f"\nup: {failed}")
        _stop(site, fleet, say)
        return FAILED
    except KeyboardInterrupt:
        say("")
        _stop(site, fleet, say)
        return 0


def _start(
    site: Site, fleet: Fleet, environ: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Services come before the proxy, which leads to them; who works in silence comes last."""
    ports, parts = site.ports, site.moved(environ)
    for program in stack.stand_ins(site.folder, ports, environ):
        _start_one(site, fleet, program, say)
    for part in parts:
        if part.service in stack.SERVICES:
            _start_moved(part, say)
    say("preparing the database")
    stack.migrate(fleet, environ)
    _start_one(site, fleet, stack.monolith(ports, environ), say)
    _start_one(site, fleet, stack.proxy(ports, environ, site.routes), say)
    for part in parts:
        if part.service not in stack.SERVICES:
            with _told(say):
                _start_moved(part, say)


def _start_moved(part: StartProcess, say: Callable[[str], None]) -> None:
    say(f"starting {part.service}, which a step has moved out")
    if not moved.start(part):
        say(f"{part.service} runs already and is left alone")


@contextmanager
def _told(say: Callable[[str], None]) -> Iterator[None]:
    """A mover that needs a person stops nobody: the way to help it leads over the running site."""
    try:
        yield
    except PartFailed as failed:
        say(f"up: {failed}")


def _start_one(site: Site, fleet: Fleet, program: Program, say: Callable[[str], None]) -> None:
    say(f"starting {program.name} on port {program.port}")
    fleet.launch(program)
    # Written before the program is known to be well: whatever happens, --down finds it.
    known = [
        {
            "name": each.program.name,
            "pid": each.process.pid,
            "started": start_time(each.process.pid),
            "port": each.program.port,
        }
        for each in fleet.running
    ]
    site.processes.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
    fleet.await_answer(fleet.running[-1])


def _stop(site: Site, fleet: Fleet, say: Callable[[str], None]) -> None:
    fleet.stop(lambda name: say(f"stopping {name}"))
    for name in stop_services(site.run_dir):
        say(f"stopped {name}, which a step had started")
    site.processes.unlink(missing_ok=True)


def take_down(site: Site, say: Callable[[str], None]) -> int:
    """Stop what an earlier run has left running, the last started first."""
    for entry in reversed(_read(site)):
        stopped = stop_known(entry["pid"], entry["started"], STOP_TIMEOUT_S)
        say(f"{'stopped' if stopped else 'was not running:'} {entry['name']}")
    for name in stop_services(site.run_dir):
        say(f"stopped {name}, which a step had started")
    site.processes.unlink(missing_ok=True)
    return 0


def tell_status(site: Site, say: Callable[[str], None]) -> int:
    """Say what runs; the exit code is 0 when everything that was started does."""
    known = _known(site)
    try:
        moved_out = site.moved(site.kept) if known else ()
    except UNREADABLE as wrong:
        say(f"up: {wrong}")
        return UNUSABLE
    known += [(part.service, part.pid() is not None) for part in moved_out]
    for name, alive in known:
        say(f"{name:<18} {'running' if alive else 'has ended'}")
    if not known:
        say("nothing is running; scripts/up starts it")
    return 0 if known and all(alive for _, alive in known) else FAILED


def _known(site: Site) -> list[tuple[str, bool]]:
    return [
        (
            entry["name"],
            entry["started"] is not None and start_time(entry["pid"]) == entry["started"],
        )
        for entry in _read(site)
    ]


def _read(site: Site) -> list[dict[str, Any]]:
    try:
        known: list[dict[str, Any]] = json.loads(site.processes.read_text("utf-8"))
    except FileNotFoundError:
        return []
    return known


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code is returned."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    routes = ROOT / "strangler.yaml" if given.config is None else given.config.resolve()
    try:
        site = Site(given.dir.resolve(), routes, load(routes))
    except ConfigError as wrong:
        _say(f"up: {wrong}")
        return UNUSABLE
    site.folder.mkdir(parents=True, exist_ok=True)
    if given.down:
        return take_down(site, _say)
    if given.status:
        return tell_status(site, _say)
    return bring_up(site, detach=given.detach, say=_say)


def _say(text: str) -> None:
    print(text, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/up",
        description="Start the blog behind the proxy, with stand-ins for S3, SMTP and Stripe."
        " To change a port or a setting, edit strangler.yaml or var/env.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--detach", action="store_true", help="leave it running")
    what.add_argument("--status", action="store_true", help="say what runs")
    what.add_argument("--down", action="store_true", help="stop what --detach left running")
    parser.add_argument(
        "--dir", type=Path, default=ROOT / "var", help="data, logs and secrets (var)"
    )
    parser.add_argument(
        "-c", "--config", type=Path, help="the proxy's configuration (strangler.yaml)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
