"""A blog whose answers are composed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.wire.compose.blog import Blog
from tests.integration.wire.conftest import Bench


@pytest.fixture
def blog(bench: Bench) -> Iterator[Blog]:
    made = Blog(bench)
    yield made
    made.let_go.set()
