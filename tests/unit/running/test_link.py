"""The line between supervisor and worker: either end may be killed at any byte."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from strangler_proxy.running.counts import BOUNDS_S, SideCounts, Tally
from strangler_proxy.serve.link import Link, LinkClosed


def linked(talk: Callable[[Link, socket.socket], Awaitable[Any]]) -> Any:
    """Run a talk over a link whose other end is a bare socket."""

    async def run() -> Any:
        ours, theirs = socket.socketpair()
        with theirs:
            link = await Link.over(ours)
            running = asyncio.create_task(link.run())
            try:
                return await talk(link, theirs)
            finally:
                theirs.close()
                await asyncio.wait_for(running, 5)

    return asyncio.run(run())


@pytest.mark.parametrize("said", [b"", b'{"number": 1', b'{"number": 1, "answers": true}'])
def test_other_end_killed_in_mid_sentence_is_a_closed_link(said: bytes) -> None:
    async def talk(link: Link, theirs: socket.socket) -> None:
        calling = asyncio.create_task(link.call({"order": "status"}, 5))
        await asyncio.sleep(0)
        theirs.sendall(said)
        theirs.close()
        with pytest.raises(LinkClosed):
            await calling
        with pytest.raises(LinkClosed):
            await link.call({"order": "status"}, 5)

    linked(talk)


def test_answers_find_their_calls_in_any_order_and_late_ones_nobody() -> None:
    async def talk(link: Link, theirs: socket.socket) -> None:
        first = asyncio.create_task(link.call({"order": "a"}, 5))
        second = asyncio.create_task(link.call({"order": "b"}, 5))
        await asyncio.sleep(0)
        for number, text in ((9, "late"), (2, "b"), (1, "a")):
            line = json.dumps({"number": number, "answers": True, "said": text})
            theirs.sendall(line.encode() + b"\n")
        assert (await first, await second) == ({"said": "a"}, {"said": "b"})

    linked(talk)


def test_call_without_an_answer_ends_in_time() -> None:
    async def talk(link: Link, theirs: socket.socket) -> None:
        with pytest.raises(TimeoutError):
            await link.call({"order": "status"}, 0.01)

    linked(talk)


def test_fault_in_the_answering_is_answered_at_once() -> None:
    async def handle(_message: dict[str, Any]) -> dict[str, Any]:
        raise UnicodeError("not in this alphabet")

    async def run() -> None:
        ours, theirs = socket.socketpair()
        asking, answering = await Link.over(ours), await Link.over(theirs, handle)
        running = [asyncio.create_task(link.run()) for link in (asking, answering)]
        answer = await asking.call({"order": "serve"}, 5)
        assert answer == {"error": "UnicodeError: not in this alphabet"}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(run())


def test_figures_add_up_subtract_and_survive_the_way() -> None:
    one, two = Tally(), Tally()
    for latency in (0.001, 0.002, 0.5):
        one.record(latency, 200)
    two.record(1000.0, 503)
    first = SideCounts.from_json(json.loads(json.dumps(one.as_json())))
    both = first + SideCounts.from_json(two.as_json())
    assert (both.requests, both.failures, both.latency.total) == (4, 1, 4)
    assert (both.seconds, both.statuses) == (1000.503, {200: 3, 503: 1})
    assert SideCounts.from_json(both.as_json()) == both
    assert ((both - first).failures, (both - first).statuses) == (1, {503: 1})
    assert first - both == SideCounts()


def test_figures_written_before_statuses_were_counted_can_be_read() -> None:
    earlier = SideCounts.from_json({"requests": 3, "failures": 1, "latency": {"4": 3}})
    assert (earlier.requests, earlier.seconds, earlier.statuses) == (3, 0.0, {})


def test_quantiles_are_upper_bounds_within_a_fifth() -> None:
    tally = Tally()
    assert SideCounts.from_json(tally.as_json()).latency.quantile_s(0.5) is None
    for number in range(1, 1001):
        tally.record(number / 1000, 200)
    latency = SideCounts.from_json(tally.as_json()).latency
    for fraction in (0.01, 0.5, 0.99, 1.0):
        bound = latency.quantile_s(fraction)
        assert bound is not None
        assert fraction <= bound <= fraction * 1.2
    tally.record(BOUNDS_S[-1] + 1, 200)
    assert SideCounts.from_json(tally.as_json()).latency.quantile_s(1.0) == float("inf")
