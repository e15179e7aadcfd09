"""A blog of two files whose move is run."""

import pytest

from tests.integration.handover.run.sites import Site


@pytest.fixture
def blog(place, tmp_path) -> Site:
    site = Site(place("sqlite"), place("sqlite"), tmp_path)
    site.fill(2_000)
    return site
