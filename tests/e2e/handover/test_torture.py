"""Writers, cut-overs and sudden deaths, from a seed: `scripts/torture` does more of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.torturing.conductor import Plan, Torture
from scripts.torturing.report import Report
from scripts.torturing.servers import MissingProgram


def tortured(plan: Plan) -> Report:
    try:
        report = Torture(plan).run()
    except MissingProgram as missing:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(f"REQUIRE_SERVICES=1, but {missing}")
        pytest.skip(str(missing))
    told = [violation.sentence for violation in report.violations]
    assert not told, f"seed {report.seed}, {report.folder}: {told[:10]}"
    return report


@pytest.mark.timeout(1000)  # a minute and a half on two idle cores
def test_200_cut_overs_of_sqlite_under_sudden_deaths_lose_and_repeat_nothing(tmp_path: Path):
    report = tortured(Plan(tmp_path, cut_overs=200, seconds=900.0, rate=100.0, kill_every_s=1.0))
    assert report.cut_overs >= 200
    assert report.resumed > 0
    assert report.run_out <= report.cut_overs / 10  # a machine that stands still now and then
    # How many there are depends on how fast the machine cuts over: half a minute on a fast one.
    assert sum(report.deaths.values()) >= 10
    assert len(report.deaths) >= 4
    assert report.operations["past the proxy, ok"] > 0


@pytest.mark.services
@pytest.mark.timeout(500)
@pytest.mark.parametrize(("source", "target"), [("postgresql", "mysql"), ("mysql", "postgresql")])
def test_servers_that_die_lose_and_repeat_nothing(tmp_path: Path, source: str, target: str):
    report = tortured(Plan(tmp_path, 2, source, target, cut_overs=20, seconds=400.0))
    assert report.cut_overs >= 20
    assert len(report.deaths) >= 4
