"""The data path of one worker, running in this process: a real listener on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import uvloop

from strangler_proxy.config import Config
from strangler_proxy.config.address import parse_origin
from strangler_proxy.wire.endpoint import Member
from strangler_proxy.wire.listener import Listener, server_context
from strangler_proxy.wire.outside import Outside
from strangler_proxy.wire.plane import DataPlane

T = TypeVar("T")
_START_S = 10.0


class Clock:
    """Real time, and a lead over it that a test may enlarge: timeouts pass without waiting."""

    def __init__(self) -> None:
        self.lead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.lead_s


class Proxy:
    """A DataPlane with its Listener on a uvloop in a thread.

    `outside`, `members` and `rows` are what its supervisor would give it.

    An error that reaches the event loop (an exception in a protocol's callback, a task whose
    failure nobody took) is a crash that the proxy only survived: `close` raises it.
    """

    def __init__(
        self,
        config: Config,
        outside: Outside | None = None,
        members: Mapping[str, Sequence[Member]] | None = None,
        rows: Mapping[str, int] | None = None,
    ) -> None:
        self.clock = Clock()
        self._config = config
        self._given = outside, members, rows
        self._crashes: list[str] = []
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.drain_s = 0.0
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._sock.setblocking(False)
        self.port: int = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(_START_S), "the proxy did not start"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._crashed)
        self._stop = asyncio.Event()
        tls = self._config.tls
        self.plane = DataPlane(self._config, self.clock, *self._given)
        listener = Listener(self.plane)
        await listener.start(
            self._sock, server_context(tls.certificate, tls.key) if tls is not None else None
        )
        self._ready.set()
        await self._stop.wait()
        await listener.drain(self.drain_s)
        # Transports close in the loop's next turns.
        for _ in range(3):
            await asyncio.sleep(0)

    def _crashed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._crashes.append(f"{context.get('message')}: {context.get('exception')!r}")

    def call(self, function: Callable[[], T]) -> T:
        """Run something on the proxy's loop."""

        async def run() -> T:
            return function()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_START_S)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Have something that waits done on the proxy's loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_START_S)

    def install(self, config: Config) -> None:
        """Serve by another configuration."""
        self.call(lambda: self.plane.install(config))

    def pass_time(self, seconds: float) -> None:
        """Let this much time pass for the proxy, at once."""
        self.clock.lead_s += seconds
        self.call(self.plane.tick)

    def in_use(self, name: str = "monolith") -> int:
        """Requests that an upstream has at this moment."""
        return self.call(lambda: self.plane.pools[name].in_use)

    def place(self, name: str, *urls: str) -> None:
        """Give an upstream these addresses, all well."""
        members = [Member(parse_origin(url).address) for url in urls]
        self.call(lambda: self.plane.place(name, members))

    def place_members(self, name: str, how: Mapping[str, Mapping[str, bool]]) -> None:
        """Give an upstream these addresses, each in the condition that is told by its URL."""
        members = [Member(parse_origin(url).address, **is_so) for url, is_so in how.items()]
        self.call(lambda: self.plane.place(name, members))

    def drain(self, seconds: float = 10.0) -> None:
        """Begin to stop, as SIGTERM does; `close` waits for the end."""
        self.drain_s = seconds
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)

    def close(self) -> None:
        """Stop, and raise what crashed."""
        with contextlib.suppress(RuntimeError):  # drained already: its loop is closed
            self.drain(self.drain_s)
        self._thread.join(_START_S + self.drain_s)
        assert not self._thread.is_alive(), "the proxy did not stop"
        assert not self._crashes, "\n".join(self._crashes)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def config(**values: Any) -> Config:
    """A configuration; `upstreams` may name URLs alone, and the default is the first of them."""
    upstreams = {
        name: {"url": upstream} if isinstance(upstream, str) else upstream
        for name, upstream in values.pop("upstreams").items()
    }
    values.setdefault("default", next(iter(upstreams)))
    return Config.model_validate({"listen": "127.0.0.1:0", "upstreams": upstreams, **values})


def until(condition: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
    """Poll until something holds, or fail."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not in {timeout_s:g} s: {what}"
        time.sleep(0.005)
