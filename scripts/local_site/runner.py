"""Brings a site up in order, stays with it in the foreground, and takes it down in reverse."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from scripts import moved, stack
from scripts.local_site.given import shown
from scripts.local_site.greeting import greeting
from scripts.local_site.keeper import Keeper
from scripts.local_site.site import Site, Started, UnusableError
from scripts.moving import schema_command
from scripts.processes import ComponentFailedError, Fleet, Program, stop_known, stop_services
from scripts.procfile import ProcfileError
from strangler_proxy.steps.parts import StartProcess
from strangler_proxy.steps.parts.launch import start_time
from strangler_proxy.steps.step import PartFailed

DONE, FAILED = 0, 1
WATCH_S = 1.0
STOP_TIMEOUT_S = 15.0
Say = Callable[[str], None]


def bring_up(site: Site, given: Mapping[str, str], *, detach: bool, say: Say) -> int:
    """Start everything in order; stay until interrupted unless detached. Returns an exit code.

    `given` is the shell's environment. Raises UnusableError, or one of UNREADABLE, with nothing
    started.
    """
    with site.held():
        running = [each.name for each in site.started() if each.runs]
        if running:
            raise UnusableError(f"already running: {', '.join(running)}; see --status and --down")
        settled = site.settle(given)
        for otherwise in settled.otherwise:
            say(f"up: {otherwise} ({site.env_file})")
        plan = _plan(site, settled.values)
        fleet = Fleet(site.logs)
        try:
            _prepare_databases(fleet, plan, settled.values, say)
        except ComponentFailedError as failed:
            say(f"\nup: {failed}")
            return FAILED
        except KeyboardInterrupt:
            say("\nup: nothing was started")
            return FAILED
        site.keep(settled.values)
        for name in settled.taken:
            say(f"kept in {site.env_file}: {shown(name, settled.values[name])}")
        return _run(site, fleet, plan, detach=detach, say=say)


def _run(site: Site, fleet: Fleet, plan: "_Plan", *, detach: bool, say: Say) -> int:
    """Start what is planned, and stay with it; whatever ends that stops everything."""
    try:
        _start(site, fleet, plan, say)
        say("\n" + greeting(site.folder, plan.ports, plan.environ))
        if detach:
            say("It stays up: scripts/up --status says how it is, scripts/up --down stops it.")
            return DONE
        say("Ctrl-C stops it.")
        _watch(site, fleet, plan.environ, say)
    except KeyboardInterrupt:
        say("")
        _stop(site, fleet, say)
    except (ComponentFailedError, PartFailed) as failed:
        say(f"\nup: {failed}")
        _stop(site, fleet, say)
        return FAILED
    except Exception:
        _stop(site, fleet, say)
        raise
    return DONE


def take_down(site: Site, say: Say) -> int:
    """Stop what an earlier run has left running, the last started first."""
    for each in reversed(site.started()):
        stopped = stop_known(each.pid, each.started, STOP_TIMEOUT_S)
        say(f"{'stopped' if stopped else 'was not running:'} {each.name}")
    ended = _stop_moved(site, say)
    site.note([])
    return DONE if ended else FAILED


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be started, in this order; of what the steps have moved, workers come last."""

    environ: Mapping[str, str]
    ports: stack.Ports
    stand_ins: Sequence[Program]
    moved: Sequence[StartProcess]
    front: Sequence[Program]


def _plan(site: Site, environ: Mapping[str, str]) -> _Plan:
    ports = site.ports(environ)
    try:
        return _Plan(
            environ,
            ports,
            stack.stand_ins(site.folder, ports, environ),
            site.view(environ).needed,
            (stack.monolith(ports, environ), stack.proxy(ports, environ, site.routes)),
        )
    except ProcfileError as wrong:
        raise UnusableError(str(wrong)) from wrong


def _prepare_databases(fleet: Fleet, plan: _Plan, environ: Mapping[str, str], say: Say) -> None:
    """Bring the tables of the monolith, and of every service that is needed, up to date."""
    say("preparing the database of the monolith")
    stack.migrate(fleet, environ)
    for name in (part.service for part in plan.moved if part.service in stack.SERVICES):
        url = environ.get(f"{name.upper()}_DATABASE_URL")
        if url:
            say(f"preparing the database of {name}")
            own = {**environ, "DATABASE_URL": url}
            stack.prepare(fleet.logs, name, schema_command(name, url), own)


def _start(site: Site, fleet: Fleet, plan: _Plan, say: Say) -> None:
    """Services come before the proxy, which leads to them; who works in silence comes last."""
    for program in plan.stand_ins:
        _start_one(site, fleet, program, say)
    for part in plan.moved:
        if part.service in stack.SERVICES:
            _start_moved(part, say)
    for program in plan.front:
        _start_one(site, fleet, program, say)
    for part in plan.moved:
        if part.service not in stack.SERVICES:
            with _told(say):
                _start_moved(part, say)


def _start_moved(part: StartProcess, say: Say) -> None:
    say(f"starting {part.service}, which a step has moved out")
    if not moved.start(part):
        say(f"{part.service} runs already and is left alone")


@contextmanager
def _told(say: Say) -> Iterator[None]:
    """A mover that needs a person stops nobody: the way to help it leads over the running site."""
    try:
        yield
    except PartFailed as failed:
        say(f"up: {failed}")


def _start_one(site: Site, fleet: Fleet, program: Program, say: Say) -> None:
    say(f"starting {program.name} on port {program.port}")
    fleet.launch(program)
    # Written before the program is known to be well: whatever happens, --down finds it.
    site.note(
        [
            Started(
                each.program.name,
                each.process.pid,
                start_time(each.process.pid),
                each.program.port,
            )
            for each in fleet.running
        ]
    )
    fleet.await_answer(fleet.running[-1])


@dataclass(frozen=True, slots=True)
class _WatchfulPace:
    """Real time, in which the base is watched: while a service starts, the proxy may end."""

    fleet: Fleet

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep. Raises ComponentFailedError when a program of the base has ended."""
        self.fleet.check()
        time.sleep(max(0.0, seconds))


def _watch(site: Site, fleet: Fleet, environ: Mapping[str, str], say: Say) -> None:
    """Stay until a program of the base ends, which raises ComponentFailedError."""
    keeper = Keeper(lambda: site.view(environ), say, _WatchfulPace(fleet))
    while True:
        fleet.check()
        keeper.tick()
        time.sleep(WATCH_S)


def _stop(site: Site, fleet: Fleet, say: Say) -> None:
    """Stop everything, which takes a bounded time; an impatient second Ctrl-C leaves nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    fleet.stop(lambda name: say(f"stopping {name}"))
    _stop_moved(site, say)
    site.note([])


def _stop_moved(site: Site, say: Say) -> bool:
    """Whether everything has ended that steps had started; what has not is said."""
    left: list[str] = []
    for name in stop_services(site.run_dir, told=left.append):
        say(f"stopped {name}, which a step had started")
    for each in left:
        say(f"up: {each}")
    return not left
