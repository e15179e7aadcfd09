"""An empty database of each kind."""

from __future__ import annotations

import pytest

from tests.integration.handover.capture.capturing import Make
from tests.integration.handover.conftest import KINDS, Place


@pytest.fixture(params=KINDS)
def here(request: pytest.FixtureRequest, place: Make) -> Place:
    return place(request.param)
