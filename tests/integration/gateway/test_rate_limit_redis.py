"""Limits that several machines share, counted by a real Redis: also when it goes and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import pytest
import redis as redis_client

from strangler_proxy.config import LimitStore, RateLimit
from strangler_proxy.policies.rate_limit import RateLimiter, Verdict

pytestmark = pytest.mark.services

ANN, BEN = b"198.51.100.1", b"token of ben"
_BOUND_S = 10.0


@pytest.fixture(scope="module")
def redis_url() -> str:
    """The address of a running Redis, or the test ends here."""
    url = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
    where = urlsplit(url)
    try:
        socket.create_connection((where.hostname, where.port or 6379), timeout=2).close()
    except OSError as error:
        told = f"no Redis at {url} ({error}); TEST_REDIS_URL names another"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(f"REQUIRE_SERVICES=1, but there is {told}")
        pytest.skip(f"there is {told}")
    return url


@pytest.fixture
def route() -> str:
    """A route that no other test has."""
    return f"upload-{uuid.uuid4().hex[:12]}"


@contextlib.asynccontextmanager
async def limiting(url: str, fd: int | None = None, **values: object) -> AsyncIterator[RateLimiter]:
    """A limiter that counts in Redis; it has time enough on a busy machine, unless told."""
    settings = {"redis": url, "entries": 1024, "timeout_s": 5, **values}
    limiter = RateLimiter(LimitStore.model_validate(settings), fd)
    try:
        yield limiter
    finally:
        await limiter.close()


def limits(*texts: str, by: str = "client") -> tuple[RateLimit, ...]:
    return tuple(RateLimit(limit=text, by=by) for text in texts)


async def ask(
    limiter: RateLimiter, route: str, limits: tuple[RateLimit, ...], caller: bytes = ANN
) -> Verdict:
    """Ask as the data path does."""
    verdict = limiter.check(route, limits, (caller,) * len(limits))
    return verdict if isinstance(verdict, Verdict) else await verdict


def told(verdict: Verdict) -> list[int]:
    """Limit, remaining and reset."""
    return [int(line.split(b": ")[1]) for line in verdict.headers.splitlines()]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Poll until something holds, or fail."""
    async with asyncio.timeout(_BOUND_S):
        while not await condition():  # noqa: ASYNC110 - what is polled tells nobody
            await asyncio.sleep(0.01)


class Relay:
    """Stands between a limiter and Redis, and can be held up or taken away."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._behind = (where.hostname or "", where.port or 6379)
        self._path = where.path
        self._open: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}{self._path}"

    async def up(self) -> None:
        """Accept connections, at the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Refuse connections, and end those there are."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await until(self._idle)

    def hold(self) -> None:
        """Pass nothing on, as a process does that is stopped."""
        self._flows.clear()

    def go_on(self) -> None:
        """Pass on again, also what has been held up."""
        self._flows.set()

    async def _idle(self) -> bool:
        return not self._open

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind = await asyncio.open_connection(*self._behind)
        self._open |= {writer, behind}
        try:
            await asyncio.gather(self._pass(reader, behind), self._pass(behind_reader, writer))
        finally:
            self._open -= {writer, behind}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                await self._flows.wait()
                writer.write(piece)
        writer.close()


@contextlib.asynccontextmanager
async def relayed(url: str) -> AsyncIterator[Relay]:
    relay = Relay(url)
    await relay.up()
    try:
        yield relay
    finally:
        relay.go_on()
        await relay.down()


def test_two_machines_share_one_limit(redis_url: str, route: str) -> None:
    async def talk() -> None:
        async with limiting(redis_url) as here, limiting(redis_url) as there:
            both = limits("3/minute")
            answers = [await ask(machine, route, both) for machine in (here, there, here, there)]
            assert [answer.allowed for answer in answers] == [True, True, True, False]
            assert [told(answer)[:2] for answer in answers] == [[3, 2], [3, 1], [3, 0], [3, 0]]
            assert told(answers[0])[2] == 61  # the window begins with its first request
            assert 59 <= (answers[3].retry_after_s or 0) <= 61
            assert told(answers[3])[2] == answers[3].retry_after_s
            assert (await ask(here, route, both, BEN)).allowed
            assert not here.redis_down

    asyncio.run(talk())


def test_exactly_as_many_are_allowed_as_the_limit_says_at_once(redis_url: str, route: str) -> None:
    async def talk() -> None:
        async with limiting(redis_url) as here, limiting(redis_url) as there:
            every = limits("20/minute")
            asked = (ask(machine, route, every) for machine in (here, there) for _ in range(60))
            answers = await asyncio.gather(*asked)
            assert sum(answer.allowed for answer in answers) == 20
            refused = [answer for answer in answers if not answer.allowed]
            assert all((answer.retry_after_s or 0) >= 1 for answer in refused)
            assert all(told(answer)[1] == 0 for answer in refused)

    asyncio.run(talk())


def test_asking_again_after_retry_after_succeeds(redis_url: str, route: str) -> None:
    async def talk() -> None:
        async with limiting(redis_url) as limiter:
            few = limits("2/second", "100/hour")
            await ask(limiter, route, few)
            await ask(limiter, route, few)
            refused, began = await ask(limiter, route, few), time.monotonic()
            assert refused.retry_after_s is not None
            assert refused.retry_after_s <= 2

            async def allowed() -> bool:
                late = time.monotonic() - began > (refused.retry_after_s or 0)
                answer = await ask(limiter, route, few)
                assert answer.allowed or not late
                return answer.allowed

            await until(allowed)

    asyncio.run(talk())


def test_a_request_that_one_limit_refuses_takes_nothing_from_another(
    redis_url: str, route: str
) -> None:
    async def talk() -> None:
        async with limiting(redis_url) as limiter:
            narrow, wide = limits("1/minute"), limits("10/hour", by="route")
            for _ in range(5):
                await ask(limiter, route, wide + narrow)
            assert told(await ask(limiter, route, wide))[:2] == [10, 8]

    asyncio.run(talk())


def test_keys_have_our_prefix_a_time_to_live_and_no_callers_secret(
    redis_url: str, route: str
) -> None:
    async def talk() -> None:
        async with limiting(redis_url) as limiter:
            await ask(limiter, route, limits("3/minute", by="header:authorization"), BEN)

    asyncio.run(talk())
    with redis_client.Redis.from_url(redis_url) as client:
        (key,) = client.scan_iter(f"*{route}*", count=10_000)
        assert key.startswith(b"strangler:")
        assert b"ben" not in key
        assert 60 < client.ttl(key) <= 120


def test_hang_ups_leave_no_connection_behind(redis_url: str, route: str) -> None:
    async def talk() -> None:
        async with relayed(redis_url) as relay, limiting(relay.url, timeout_s=5) as limiter:
            every = limits("1000/minute")
            for _ in range(3):
                tasks = [asyncio.create_task(ask(limiter, route, every)) for _ in range(100)]
                await asyncio.sleep(0)
                relay.hold()
                await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                relay.go_on()
            answers = await asyncio.gather(*(ask(limiter, route, every) for _ in range(100)))
            assert all(answer.allowed for answer in answers)
            assert not limiter.redis_down

    asyncio.run(talk())


@pytest.mark.parametrize("how", ["stopped", "gone"])
def test_counts_go_on_here_while_redis_is_away_and_there_when_it_is_back(
    redis_url: str, route: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk() -> None:
        async with (
            relayed(redis_url) as relay,
            limiting(relay.url, timeout_s=1, retry_s=0.1) as limiter,
        ):
            few = limits("3/minute")
            assert told(await ask(limiter, route, few))[:2] == [3, 2]
            if how == "stopped":
                relay.hold()
            else:
                await relay.down()
            # This machine's own three: what was counted there is not known here.
            began = time.monotonic()
            answers = [await ask(limiter, route, few) for _ in range(5)]
            assert [answer.allowed for answer in answers] == [True] * 3 + [False] * 2
            assert time.monotonic() - began < 4  # waited for once, and not five times
            assert limiter.redis_down
            if how == "stopped":
                relay.go_on()
            else:
                await relay.up()

            async def back() -> bool:
                await ask(limiter, route, few, BEN)
                return not limiter.redis_down

            await until(back)
            assert (await ask(limiter, route, few)).allowed

    with caplog.at_level(logging.INFO, "strangler_proxy"):
        asyncio.run(talk())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "does not answer" in lines[0]
    assert "answers again after" in lines[1]


def test_a_connection_that_redis_has_closed_meanwhile_is_no_outage(
    redis_url: str, route: str
) -> None:
    async def talk() -> None:
        async with relayed(redis_url) as relay, limiting(relay.url) as limiter:
            assert (await ask(limiter, route, limits("3/minute"))).allowed
            await relay.down()
            await relay.up()
            assert told(await ask(limiter, route, limits("3/minute")))[:2] == [3, 1]
            assert not limiter.redis_down

    asyncio.run(talk())


def test_a_wrong_password_is_told_and_counts_go_on_here(
    redis_url: str,
    route: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("LIMITS_PASSWORD", "not the password")

    async def talk() -> None:
        async with limiting(redis_url, password_env="LIMITS_PASSWORD") as limiter:
            assert (await ask(limiter, route, limits("3/minute"))).allowed
            assert limiter.redis_down

    with caplog.at_level(logging.INFO, "strangler_proxy"):
        asyncio.run(talk())
    (line,) = [record.getMessage() for record in caplog.records]
    assert "not the password" not in line
    assert "assword" in line
