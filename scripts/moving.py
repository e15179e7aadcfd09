"""A step that carves out a service with its tables: stages, gates and options of all three.

The order is what keeps every write: the service runs, its tables follow the monolith's, both are
proved alike, some callers read of them, and then the writes are handed over in one moment. Undone,
they come back with all that was written since.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from scripts import backlog, carving, soaking
from scripts.carving import ROOT, python
from scripts.watching import WatchOptions
from strangler_proxy.compare import Rules
from strangler_proxy.config import Upstream
from strangler_proxy.handover.ledger import ledger_path, read_ledger
from strangler_proxy.handover.standing import Phase, standing
from strangler_proxy.steps import Stage, Step
from strangler_proxy.steps.gates import AnswersCompared, Copied, RowsAlike, Sample
from strangler_proxy.steps.http import ask
from strangler_proxy.steps.move_commands import MoveCommands
from strangler_proxy.steps.moves import mover_runs
from strangler_proxy.steps.options import count, option, percents, positive
from strangler_proxy.steps.parts import (
    ClearLeftovers,
    FinishFirst,
    HandOver,
    PlanMove,
    RunCommand,
    RunWhenUndone,
    StartProcess,
)
from strangler_proxy.steps.proxy import Proxy
from strangler_proxy.steps.script import Site, StepError

SETTLE_S = 10.0  # what is written while it is compared comes to the copy a moment later
MOVES = ROOT / "migrations" / "moves.yaml"
SET_BY_UP = "give it the value that scripts/up writes into var/env"


@dataclass(frozen=True)
class Options(WatchOptions):
    """What a team may set; the defaults are for production."""

    min_writes: int = option(
        20, "writes of each kind that must be seen after the handover", parse=count
    )
    samples: int = option(50, "answers that are compared before any flip", parse=count)
    copy_within_s: float = option(
        24 * 3600.0, "seconds that the first copy of the tables may take", parse=positive
    )


@dataclass(frozen=True)
class CanaryOptions(Options):
    """The same for a step that sends reads over before the writes."""

    percents: tuple[int, ...] = option(
        (5, 25, 50), "callers whose reads go to the candidate, before the writes", parse=percents
    )
    min_requests: int = option(500, "reads that must be seen in each watch", parse=count)


Sampling = Callable[[Site], Iterator[str]]
"""Yields targets to compare, newest things last if at all. Raises Unobservable."""


@dataclass(frozen=True)
class Worker:
    """A process of the service beside its requests.

    One that `stays` is left there by an undo; one that `writes` the tables of the move stands still
    while they are handed back.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stays: bool = False
    writes: bool = False

    def part(self, site: Site) -> StartProcess:
        """What starts it."""
        return carving.program(site, self.name, self.command, self.environment, stays=self.stays)


@dataclass(frozen=True)
class Capability:
    """What leaves the monolith, and how it is proved.

    `writes` are the routes that the move names: they flip in the moment of the handover, and
    `seen` are those among them that must be seen behind it. `reads` go over by percent before, and
    wholly after. `environment` is the service's own, as variables
    of the site: its name there -> its name here. `first` runs before the service is started,
    or once that has ended again.
    `completed`, given the site and that environment, is what has to follow the copy.
    `most_samples`: `samples` are so many on every site, and no more can be asked for.
    """

    number: int
    name: str
    title: str
    writes: tuple[str, ...]
    seen: tuple[str, ...]
    reads: tuple[str, ...]
    samples: Sampling
    environment: Mapping[str, str]
    first: tuple[RunCommand | RunWhenUndone, ...] = ()
    completed: Callable[[Site, Mapping[str, str]], tuple[Stage, ...]] = lambda *_: ()
    workers: Callable[[Mapping[str, str]], tuple[Worker, ...]] = lambda _: ()
    seam: bool = False
    finishes_events: bool = False
    most_samples: int | None = None

    def least_samples(self, wanted: int) -> int:
        """How many answers have to be compared, where a team wants so many."""
        return wanted if self.most_samples is None else min(wanted, self.most_samples)


def declare(capability: Capability, options: Options, site: Site) -> Step:
    """The step as it runs on this site. Opens nothing. Raises StepError."""
    names = (*capability.writes, *capability.reads)
    control, candidate = carving.sides_of(site, names)
    environment = {
        here: carving.variable(there, SET_BY_UP) for here, there in capability.environment.items()
    }
    move = move_of(capability.name, site)
    return Step(
        capability.name,
        f"Step {capability.number}: {capability.title}",
        (
            carving.standing(site, control),
            *_prepared(capability, environment),
            carving.serving(site, capability.name, candidate, options.external, environment),
            *_workers(capability, options, site, environment),
            *_copied(capability, options, site, move, environment),
            _compared(capability, options, site, control, candidate),
            *_handed_over(capability, options, site, control, move, environment),
        ),
    )


def moves_file() -> Path:
    """The file of moves that this environment names."""
    return Path(os.environ.get("STRANGLER_MOVES") or MOVES).resolve()


def moves_for(moves: Path, database_url: str) -> Path:
    """The file with the move into this database: `moves`, or one beside it for documents.

    For a MongoDB that is moves_mongodb.yaml beside moves.yaml, if it is there: an expression of SQL
    cannot be moved into documents. The ledgers are the same.
    """
    beside = moves.with_name(f"{moves.stem}_mongodb{moves.suffix}")
    return beside if carving.is_mongodb(database_url) and beside.is_file() else moves


def phase_of(name: str, site: Site) -> Phase:
    """How far a capability's move is on this site. Raises LedgerError."""
    return standing(read_ledger(ledger_path(moves_file(), name, site.run_dir))).phase


def over(name: str, site: Site) -> str | None:
    """Why the step of this capability may be run no more; None while it may."""
    phase = phase_of(name, site)
    if phase not in (Phase.RETIREMENT, Phase.RETIRED):
        return None
    return f"the move of {name} is retired: its step is over, and no way leads back"


def move_of(name: str, site: Site) -> MoveCommands:
    """A capability's move as it runs on this site. Raises StepError."""
    moves = moves_file()
    if not moves.is_file():
        raise StepError(f"{moves} is not there: STRANGLER_MOVES names the file of moves")
    _, target = (
        carving.variable(variable, "the move reads it")
        for variable in ("DATABASE_URL", f"{name.upper()}_DATABASE_URL")
    )
    return MoveCommands(
        name, moves_for(moves, target), site.config_path, os.environ, ledgers=site.run_dir
    )


def schema_command(name: str, database_url: str) -> tuple[str, ...]:
    """What makes the tables of service `name`, or brings them up to date. Reads DATABASE_URL."""
    if carving.is_mongodb(database_url):
        return python(f"extracted.{name}.mongodb")
    return python("extracted.chassis.schema", "upgrade", name)


def _prepared(capability: Capability, environment: Mapping[str, str]) -> Iterator[Stage]:
    database = environment["DATABASE_URL"]
    # Not after days of copying: a MongoDB that tells of no changes could not be handed over to.
    leaving = ("--for-a-move",) if carving.is_mongodb(database) else ()
    tables = RunCommand(
        f"make the tables of {capability.name}",
        (*schema_command(capability.name, database), *leaving),
        ROOT,
        {"DATABASE_URL": database},
    )
    for part in (tables, *capability.first):
        yield Stage(part.does, part)


def _workers(
    capability: Capability, options: Options, site: Site, environment: Mapping[str, str]
) -> Iterator[Stage]:
    if options.external:
        return  # who runs the service elsewhere runs its workers there
    if capability.finishes_events:
        yield Stage("events", _sent_first(capability.name, site, environment))
    for worker in capability.workers(environment):
        yield Stage(worker.name, worker.part(site))


def _sent_first(name: str, site: Site, environment: Mapping[str, str]) -> FinishFirst:
    """The service sends its events by itself; one that has died is not started for that."""
    database, sending = environment["DATABASE_URL"], "extracted.chassis.relay"
    if carving.is_mongodb(database):
        sending = "extracted.posts.mongodb.relay"
    relay = carving.program(site, f"{name}-relay", python(sending), environment)
    return FinishFirst(f"events of {name}", backlog.unsent(database), helper=relay)


def _copied(
    capability: Capability,
    options: Options,
    site: Site,
    move: MoveCommands,
    environment: Mapping[str, str],
) -> Iterator[Stage]:
    yield Stage("plan", PlanMove(move))
    mover = StartProcess(
        f"{capability.name}-mover",
        move.start_command,
        site.run_dir,
        lambda: mover_runs(move),
        ROOT,
    )
    yield Stage("copy", mover, (Copied(move, options.copy_within_s, log=mover.log),))
    yield from capability.completed(site, environment)
    yield Stage("leftovers", ClearLeftovers(move), (RowsAlike(move),))


def _compared(
    capability: Capability, options: Options, site: Site, control: Upstream, candidate: Upstream
) -> Stage:
    rules = {
        rule
        for route in carving.routes_of(site, capability.reads or capability.writes)
        for rule in route.compare.ignore
    }

    def samples() -> Iterator[Sample]:
        targets = islice(capability.samples(site), 2 * options.samples)
        return (Sample("GET", target) for target in targets)

    answers = AnswersCompared(
        samples,
        lambda sample: ask(control.direct_url, sample),
        lambda sample: ask(candidate.direct_url, sample),
        Rules.parse(sorted(rules)),
        minimum=capability.least_samples(options.samples),
        patience_s=min(options.patience_s, 600.0),
        settle_s=SETTLE_S,
    )
    return Stage("answers", None, (answers,))


def _handed_over(
    capability: Capability,
    options: Options,
    site: Site,
    control: Upstream,
    move: MoveCommands,
    environment: Mapping[str, str],
) -> Iterator[Stage]:
    """Reads by percent, the monolith's own calls, the writes, and the reads wholly."""
    proxy, reads = Proxy(site.config_path), capability.reads
    shares, least = _canary(reads, options)
    writes = dict.fromkeys(capability.seen, options.min_writes)
    for share in shares:
        gate = carving.watch(site, proxy, options, least)
        yield carving.flipped(reads, share, proxy, gate, f"reads {share}%")
    if capability.seam:
        # Before the handover: what comes of the service may be asked for at once behind it.
        yield Stage("seam", carving.seam_switched(capability.name, control))
    written = carving.watch(site, proxy, options, writes, {}, wholly=True)
    # Those that run elsewhere have to be stopped by whoever runs them.
    writers = [worker.part(site) for worker in capability.workers(environment) if worker.writes]
    yield Stage("writes", HandOver(move, tuple(writers)), (written,))
    if reads:
        gate = carving.watch(site, proxy, options, least, wholly=True)
        yield carving.flipped(reads, 100, proxy, gate, "reads 100%")
    watch = carving.watch(site, proxy, options, {**least, **writes}, wholly=True)
    yield from soaking.soaked(watch, options.soak_s, options.patience_s, move)


def _canary(reads: tuple[str, ...], options: Options) -> tuple[tuple[int, ...], dict[str, int]]:
    """The shares of callers that go first, and how many reads must be seen of each route."""
    if not isinstance(options, CanaryOptions):
        return (), {}
    return options.percents, dict.fromkeys(reads, options.min_requests)
