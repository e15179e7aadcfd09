"""A blog over each database, with a local SMTP server and a charger that tests direct."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session, sessionmaker

from monolith.db import open_engine, upgrade


@pytest.fixture(scope="module")
def blog_url(database_url: str) -> str:
    """A database of each kind with the blog's schema."""
    upgrade(database_url)
    return database_url


@pytest.fixture(scope="module")
def sessions(blog_url: str) -> Iterator[sessionmaker[Session]]:
    """Sessions as the monolith opens them."""
    engine = open_engine(blog_url)
    yield sessionmaker(engine, expire_on_commit=False)
    engine.dispose()
