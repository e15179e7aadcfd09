"""When Redis is asked, and what happens while it does not answer: sockets that say nothing."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from strangler_proxy.config import LimitStore, RateLimit
from strangler_proxy.policies.rate_limit import RateLimiter, StoreUnusable, Verdict
from strangler_proxy.policies.rate_limit.outage import Outage

LIMITS = (RateLimit(limit="2/hour"),)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_nobody_asks_during_an_outage_but_one_after_each_pause() -> None:
    outage = Outage(2)
    assert outage.may_ask(9)
    assert outage.failed(10)
    assert [outage.may_ask(now) for now in (10, 11.9, 12, 12, 13.9, 14, 14)] == [
        *(False, False),
        *(True, False, False),
        *(True, False),
    ]


def test_an_outage_begins_once_and_ends_once() -> None:
    outage = Outage(2)
    assert outage.failed(10)
    assert not outage.failed(10.1)
    assert outage.may_ask(12)
    assert not outage.failed(12.1)
    assert outage.may_ask(14)
    assert outage.answered(14, 14.5) == 4.5
    assert outage.answered(14.5, 14.6) is None
    assert outage.may_ask(14.7)
    assert outage.failed(15)


def test_an_answer_to_what_was_asked_before_does_not_end_an_outage() -> None:
    outage = Outage(2)
    assert outage.failed(10)
    assert outage.answered(9.9, 10.1) is None
    assert not outage.may_ask(10.2)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts connections, and then says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server


def redis_at(server: socket.socket, **values: Any) -> LimitStore:
    url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
    return LimitStore.model_validate({"redis": url, "entries": 1024, **values})


def limited(
    store: LimitStore, talk: Callable[[RateLimiter], Awaitable[None]], clock: Clock
) -> None:
    """Run a talk with a limiter."""

    async def run() -> None:
        limiter = RateLimiter(store, None, clock)
        try:
            await talk(limiter)
        finally:
            await limiter.close()

    asyncio.run(run())


async def ask(limiter: RateLimiter) -> Verdict:
    """Ask as the data path does."""
    verdict = limiter.check("upload", LIMITS, (b"ann",))
    return verdict if isinstance(verdict, Verdict) else await verdict


def test_silent_redis_costs_a_bounded_time_and_counts_go_on_here(
    silent: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(limiter: RateLimiter) -> None:
        began = time.monotonic()
        answers = await asyncio.gather(*(ask(limiter) for _ in range(100)))
        assert time.monotonic() - began < 2  # one by one, it would be 20 s
        assert sum(answer.allowed for answer in answers) == 2
        assert not any(answer.unavailable for answer in answers)
        assert limiter.redis_down
        # Now nobody waits.
        assert isinstance(limiter.check("upload", LIMITS, (b"ann",)), Verdict)

    with caplog.at_level(logging.INFO):
        limited(redis_at(silent, timeout_s=0.2), talk, Clock())
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"Redis at 127.0.0.1:{silent.getsockname()[1]} does not answer (")
    assert "each machine counts rate limits by itself meanwhile" in line


def test_while_down_refuse_is_503_and_not_429(silent: socket.socket) -> None:
    async def talk(limiter: RateLimiter) -> None:
        for _ in range(3):
            assert await ask(limiter) == Verdict(False, b"", 1, unavailable=True)

    limited(redis_at(silent, timeout_s=0.05, while_down="refuse"), talk, Clock())


def test_one_request_alone_tries_again_and_a_hang_up_does_not_stop_the_trying(
    silent: socket.socket,
) -> None:
    clock = Clock()

    async def talk(limiter: RateLimiter) -> None:
        await ask(limiter)
        for _ in range(3):
            assert isinstance(limiter.check("upload", LIMITS, (b"ann",)), Verdict)
            clock.now += 1
            probe = limiter.check("upload", LIMITS, (b"ann",))
            assert inspect.iscoroutine(probe)
            assert isinstance(limiter.check("upload", LIMITS, (b"ann",)), Verdict)
            task = asyncio.create_task(probe)
            await asyncio.sleep(0)
            task.cancel()  # as the data path does when the client hangs up
            with pytest.raises(asyncio.CancelledError):
                await task

    limited(redis_at(silent, timeout_s=0.05), talk, clock)


def test_redis_that_is_not_there_is_noticed_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        store = redis_at(server, timeout_s=30)

    async def talk(limiter: RateLimiter) -> None:
        began = time.monotonic()
        assert (await ask(limiter)).allowed
        assert time.monotonic() - began < 5

    limited(store, talk, Clock())


def test_missing_client_library_names_the_extra(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an import finds where the package is not installed.
    monkeypatch.setitem(__import__("sys").modules, "redis.asyncio.retry", None)
    with pytest.raises(StoreUnusable, match=r"pip install 'strangler-proxy\[redis\]'"):
        RateLimiter(redis_at(silent), None)
    RateLimiter(LimitStore(entries=1024), None)


def test_missing_password_names_its_variable(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIMITS_PASSWORD", raising=False)
    with pytest.raises(StoreUnusable, match="LIMITS_PASSWORD"):
        RateLimiter(redis_at(silent, password_env="LIMITS_PASSWORD"), None)
