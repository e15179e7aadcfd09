"""Pairs of empty databases: all kinds, some of them, and two that are alike."""

from __future__ import annotations

import pytest

from tests.integration.handover.conftest import PAIRS, Place, pair_param
from tests.integration.handover.verify.sides import Make


@pytest.fixture(params=PAIRS)
def places(request: pytest.FixtureRequest, place: Make) -> tuple[Place, Place]:
    source, target = request.param
    return place(source), place(target)


SOME = [
    pair_param("sqlite", "sqlite"),
    pair_param("sqlite", "postgresql"),
    pair_param("postgresql", "mysql"),
    pair_param("postgresql", "postgresql"),
]


@pytest.fixture(params=SOME)
def some(request: pytest.FixtureRequest, place: Make) -> tuple[Place, Place]:
    source, target = request.param
    return place(source), place(target)


@pytest.fixture
def alike(place: Make) -> tuple[Place, Place]:
    return place("sqlite"), place("sqlite")
