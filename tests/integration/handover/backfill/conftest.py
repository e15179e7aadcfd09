"""Two files with the same tables."""

from collections.abc import Iterator

import pytest

from tests.integration.handover.backfill.copying import Both, both


@pytest.fixture
def files(tmp_path) -> Iterator[Both]:
    with both("sqlite", "sqlite", tmp_path) as two:
        yield two
