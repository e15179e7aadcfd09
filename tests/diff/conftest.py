"""Monolith and image service side by side, on real sockets, over one bucket and one secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from extracted.chassis.tokens import TokenSettings
from extracted.image.app import create_app as create_image_service
from extracted.image.settings import Settings as ImageSettings
from monolith.app import create_app
from monolith.db import upgrade
from strangler_proxy.compare import Answer
from tests.blog import SECRET, served, settings, sqlite_url
from tests.conftest import S3

LIMITS = {"max_upload_bytes": 3_000_000}
MAX_PIXELS = 20_000_000


@dataclass(frozen=True)
class Request:
    """One request, to be sent to both sides as it is."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[str, bytes]] | None = None
    data: Any = None


@dataclass(frozen=True)
class Sides:
    """The two addresses, and how to ask each."""

    monolith: str
    service: str

    def ask(self, side: str, request: Request) -> Answer:
        """What one side answers, whole."""
        url = {"monolith": self.monolith, "service": self.service}[side] + request.path
        with requests.Session() as session:
            response = session.request(
                request.method,
                url,
                headers={**request.headers},
                files=request.files,
                data=request.data,
                allow_redirects=False,
                timeout=30,
            )
            return Answer(response.status_code, tuple(response.headers.items()), response.content)

    def both(self, request: Request) -> tuple[Answer, Answer]:
        """What the control answers, and what the candidate does."""
        return self.ask("monolith", request), self.ask("service", request)


@pytest.fixture(scope="module")
def sides(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Both applications, serving."""
    url = sqlite_url(tmp_path_factory.mktemp("diff"))
    upgrade(url)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", **s3.settings()}
    monolith = create_app(settings(url, max_image_pixels=MAX_PIXELS, **LIMITS, **s3.settings()))
    service = create_image_service(
        ImageSettings(tokens=TokenSettings(SECRET), max_pixels=MAX_PIXELS, **LIMITS, **keys)
    )
    with ExitStack() as stack:
        for app in (monolith, service):
            close: Callable[[], None] = app.extensions["close"]
            stack.callback(close)
        yield Sides(stack.enter_context(served(monolith)), stack.enter_context(served(service)))
