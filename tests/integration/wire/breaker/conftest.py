"""An upstream's mood, which ends with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.wire.breaker.moods import Mood


@pytest.fixture
def mood() -> Iterator[Mood]:
    made = Mood()
    yield made
    made.let_go.set()
