"""A blog that is moved by commands."""

import pytest

from tests.e2e.handover.data.blog import Blog


@pytest.fixture
def blog(tmp_path) -> Blog:
    return Blog(tmp_path, posts=3_000)
