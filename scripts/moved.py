"""What runs beside the monolith, as the steps have left it: services, their workers, and movers.

Routes, seams and the ledgers of moves say what is needed; the step's own parts start it, so that
the step finds it by its pid file and can take it back. Reads files; only `start` starts something.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts import step_1_image, step_2_auth, step_3_posts, step_4_payment
from scripts.moving import phase_of
from strangler_proxy.config import load
from strangler_proxy.handover.standing import Phase
from strangler_proxy.steps.ledger import read_ledger, running_now
from strangler_proxy.steps.options import choose
from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.parts import StartProcess
from strangler_proxy.steps.script import Script, Site, ledger_of
from strangler_proxy.steps.state import fold

SCRIPTS = (step_1_image.SCRIPT, step_2_auth.SCRIPT, step_3_posts.SCRIPT, step_4_payment.SCRIPT)
CARRIED = (Phase.CAPTURE, Phase.COPY, Phase.TAIL)
LEDGER, MOVER = ".ledger.jsonl", "-mover"
RETIREMENT = "retire"  # the step that ends movers


@dataclass(frozen=True, slots=True)
class Standing:
    """Capabilities by how far they are away from the monolith.

    `served`: some callers are sent to the service; `remote`: the monolith asks it; `carried`: a
    mover is to carry rows over. `started` are programs that a step has started at some time.
    """

    served: frozenset[str] = frozenset()
    remote: frozenset[str] = frozenset()
    carried: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()

    def away(self, capability: str) -> bool:
        """Whether its service is needed."""
        return capability in self.served | self.remote | self.carried


@dataclass(frozen=True, slots=True)
class View:
    """What has to run now, and the services that a step at work may be starting or stopping."""

    needed: tuple[StartProcess, ...]
    in_hand: frozenset[str]


def needed(
    programs: Mapping[str, Iterable[StartProcess]], standing: Standing
) -> tuple[StartProcess, ...]:
    """Choose what has to run, each once, of the programs that a capability's step starts. Pure."""
    chosen: dict[str, StartProcess] = {}
    for capability, parts in programs.items():
        for part in parts:
            if _is_needed(part, capability, standing):
                chosen.setdefault(part.service, part)
    return tuple(chosen.values())


def _is_needed(part: StartProcess, capability: str, standing: Standing) -> bool:
    if part.service == capability + MOVER:
        return capability in standing.carried
    # What stays after an undo has something to finish still.
    return standing.away(capability) or (part.stays and part.service in standing.started)


def view(config_path: Path, run_dir: Path, seams: Path) -> View:
    """Where all stands now. Raises ConfigError, LedgerError, StepError, ValueError.

    Which steps are at work is read first: a step that has ended by then had changed routes, seams
    and ledgers before it stopped what they led to.
    """
    working = at_work(run_dir)
    site = Site(load(config_path), config_path, run_dir)
    parts = programs(site)
    return View(needed(parts, look(site, seams)), in_hand(parts, working))


def at_work(run_dir: Path) -> frozenset[str]:
    """The names of the steps whose ledgers somebody holds at this moment."""
    ledgers = run_dir.glob(f"*{LEDGER}")
    return frozenset(path.name.removesuffix(LEDGER) for path in ledgers if running_now(path))


def in_hand(
    programs: Mapping[str, Iterable[StartProcess]], working: frozenset[str]
) -> frozenset[str]:
    """Choose what is the business of steps that are at work. Pure."""
    return frozenset(
        part.service
        for capability, parts in programs.items()
        for part in parts
        if capability in working or (RETIREMENT in working and part.service.endswith(MOVER))
    )


def look(site: Site, seams: Path) -> Standing:
    """Where the routes, the seams and the moves stand. Raises LedgerError, ValueError."""
    return Standing(
        frozenset(
            str(route.candidate)
            for route in site.config.routes
            if route.candidate and site.config.serve_of(route).candidate_percent > 0
        ),
        frozenset(name for name, mode in _read(seams).items() if mode == "remote"),
        frozenset(script.name for script in SCRIPTS if phase_of(script.name, site) in CARRIED),
        frozenset(path.stem for path in site.run_dir.glob("*.pid")),
    )


def programs(site: Site) -> dict[str, list[StartProcess]]:
    """What each capability's step starts, with the site's environment in that of this process.

    A service that its step was told to be run elsewhere is not among them, nor are its workers.
    Raises StepError, LedgerError.
    """
    return {script.name: list(_parts(site, script)) for script in SCRIPTS}


def well(part: StartProcess) -> bool:
    """Whether it answers or lives, whoever has started it."""
    return part.health() is None if part.health else part.pid() is not None


def start(part: StartProcess) -> bool:
    """Start it unless it is well already; False when that was so. Raises PartFailed."""
    if well(part):
        return False
    part.execute({}, RealPace())
    return True


def _parts(site: Site, script: Script) -> Iterator[StartProcess]:
    state = fold(read_ledger(ledger_of(script.name, site)))
    step = script.declare(choose(script.options, state.options, {}), site)
    return (part for part in step.parts if isinstance(part, StartProcess))


def _read(seams: Path) -> dict[str, str]:
    try:
        modes: dict[str, str] = json.loads(seams.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return modes
