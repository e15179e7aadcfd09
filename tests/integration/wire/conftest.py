"""A proxy in this process, and upstreams that do as a test tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from strangler_proxy.wire.outside import Outside
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import Proxy, config
from tests.wire_tools.upstream import Script, Upstream, echo

STREAMED = {"gather_bytes": 0}
"""Limits by which a request is passed on as it comes, as one with a large body is."""


class Bench:
    """Upstreams, a proxy and clients, all closed at the test's end."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.proxy: Proxy

    def upstream(self, script: Script = echo, **options: Any) -> Upstream:
        """One more upstream."""
        return self._stack.enter_context(Upstream(script, **options))

    def serve(self, outside: Outside | None = None, **values: Any) -> Proxy:
        """The proxy, by this configuration, with these stand-ins for what is outside."""
        self.proxy = self._stack.enter_context(Proxy(config(**values), outside))
        return self.proxy

    def before(self, script: Script = echo, settings: Any = None, **values: Any) -> Upstream:
        """An upstream with the proxy before it; `settings` are the upstream's."""
        upstream = self.upstream(script)
        self.serve(upstreams={"monolith": {"url": upstream.url, **(settings or {})}}, **values)
        return upstream

    def client(self, **options: Any) -> Client:
        """One more client."""
        return self._stack.enter_context(Client(self.proxy.port, **options))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


MakeBench = Callable[[], Bench]
