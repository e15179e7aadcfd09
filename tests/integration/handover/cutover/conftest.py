"""Capabilities whose tables are handed over: of two files, and of two servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.handover.conftest import Place, pair_param
from tests.integration.handover.cutting import Capability

Make = Callable[[str], Place]
PATHS = [pair_param("sqlite", "sqlite"), pair_param("postgresql", "mysql")]


@pytest.fixture(params=PATHS)
def capability(request: pytest.FixtureRequest, place: Make, tmp_path: Path) -> Capability:
    control, candidate = request.param
    return Capability(place(control), place(candidate), tmp_path)


@pytest.fixture
def files(place: Make, tmp_path: Path) -> Capability:
    return Capability(place("sqlite"), place("sqlite"), tmp_path)
