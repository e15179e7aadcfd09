"""What one watch believes of a source, and what it survives."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from strangler_proxy.gateway.discovery.watch import Watch
from tests.integration.gateway.places import run, until


class Quiet:
    """A source whose answers a test hands in."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Any] = asyncio.Queue()

    async def ask(self) -> Any:
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_registry_that_has_just_come_back_is_not_believed_that_nobody_is_there() -> None:
    async def main() -> None:
        source, learned = Quiet(), list[Any]()
        loop = asyncio.get_running_loop()
        watch = Watch("image", source, (), learned.append, loop.time, settle_s=0.3)
        try:
            for answer in ((1,), OSError("a fault of its own"), (), ()):
                source.answers.put_nowait(answer)
            await until(lambda: watch.fault, "failing")
            await until(lambda: watch.fault is None, "back")
            assert learned == [(1,)]
            took = await until(lambda: learned == [(1,), ()], "believed in the end")
            assert 0.2 < took < 2
            # Had somebody turned up meanwhile, the doubt would have been for nothing.
            for answer in ((2,), OSError("again"), (), (3,)):
                source.answers.put_nowait(answer)
            await until(lambda: learned[-1] == (3,), "somebody is there")
            await asyncio.sleep(0.4)
            assert learned == [(1,), (), (2,), (3,)]
            # And that it fails again says that its word was worth nothing.
            for answer in (OSError("again"), (), OSError("and again")):
                source.answers.put_nowait(answer)
            await until(lambda: watch.fault and "and again" in watch.fault, "failing")
            await asyncio.sleep(0.4)
            assert learned[-1] == (3,)
            source.answers.put_nowait((4,))
            await until(lambda: learned[-1] == (4,), "back")
            await asyncio.sleep(0.4)
            # Long after an outage the registry's word is taken at once.
            source.answers.put_nowait(())
            assert await until(lambda: learned[-1] == (), "nobody") < 0.2
        finally:
            watch.stop()
            await asyncio.gather(watch.task, return_exceptions=True)

    run(main())


def test_a_fault_of_the_proxys_own_does_not_end_the_watch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        source, learned = Quiet(), list[Any]()
        watch = Watch("image", source, (), learned.append, asyncio.get_running_loop().time)
        source.answers.put_nowait(ZeroDivisionError())
        source.answers.put_nowait((1,))
        await until(lambda: learned, "it goes on")
        assert "ZeroDivisionError" in caplog.text
        watch.stop()
        await asyncio.gather(watch.task, return_exceptions=True)

    run(main())
