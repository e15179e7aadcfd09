"""What the steps watch can be proved behind a proxy that knows nothing of the time before."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from scripts.walking.steps import STEPS, StepScript
from strangler_proxy.running import SideCounts
from strangler_proxy.running.counts import Tally
from strangler_proxy.steps import Verdict
from strangler_proxy.steps.gates import Soak, Watch
from strangler_proxy.steps.script import Script, Site
from tests.declared_site import declared_site
from tests.unit.steps.fakes import FakePace


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return declared_site(tmp_path, monkeypatch)


def watches(step: StepScript, site: Site) -> dict[str, Watch]:
    module = importlib.import_module(step.path.removesuffix(".py").replace("/", "."))
    script = cast(Script, module.SCRIPT)
    stages = script.declare(script.options(), site).stages
    gates = {stage.name: gate for stage in stages for gate in stage.gates}
    watched = {name: gate.watch if isinstance(gate, Soak) else gate for name, gate in gates.items()}
    return {name: gate for name, gate in watched.items() if isinstance(gate, Watch)}


def well(requests: int) -> SideCounts:
    tally = Tally()
    for _ in range(requests):
        tally.record(0.01, 200)
    return SideCounts.from_json(tally.as_json())


def verdict(watch: Watch) -> Verdict:
    """What a watch makes of a thousand good answers by the candidate, and none by the control."""
    served = {route: candidate for route, (_, candidate) in watch.sides.items()} | dict(
        watch.affected
    )
    answered = iter((0, 1000))
    pace = FakePace()

    def counts() -> dict[str, dict[str, SideCounts]]:
        requests = next(answered)
        return {route: {side: well(requests)} for route, side in served.items()}

    trial = replace(watch, counts=counts).begin(pace)
    trial.look()
    pace.wait(watch.seconds)
    return trial.look().verdict


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_only_a_canary_waits_for_a_control_of_which_nothing_is_known(
    step: StepScript, site: Site
) -> None:
    waiting = {
        name for name, watch in watches(step, site).items() if verdict(watch) != Verdict.PASSED
    }
    canaries = {"image": {"5%", "25%", "50%"}, "payment": set(), "retire": set()}
    assert waiting == canaries.get(step.name, {"reads 5%", "reads 25%", "reads 50%"})


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_plan_promises_a_p99_only_of_what_is_judged_by_it(step: StepScript, site: Site) -> None:
    gates = watches(step, site)
    unjudged = {name for name, watch in gates.items() if "p99" not in watch.criteria}
    # Right behind a handover its writes are judged by their errors; the soak judges both.
    assert unjudged == ({"writes"} & set(gates))
