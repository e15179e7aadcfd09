"""A database with the tables that a fence is made for, and another."""

from __future__ import annotations

import pytest

from tests.integration.handover.conftest import KINDS, Place
from tests.integration.handover.fence.fenced import Make


@pytest.fixture(params=KINDS)
def here(request: pytest.FixtureRequest, place: Make) -> Place:
    made = place(request.param)
    made.writer(
        "CREATE TABLE posts (id INTEGER NOT NULL PRIMARY KEY, body VARCHAR(40))",
        "CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY, body VARCHAR(40))",
        "INSERT INTO posts VALUES (1, 'one'), (2, 'two')",
        "INSERT INTO other VALUES (1, 'one')",
    )
    return made
