"""Who logs never waits for who reads."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator

import pytest

from strangler_proxy.serve.logs import AsideHandler


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    os.close(reading)


def say(handler: AsideHandler, *messages: str) -> None:
    for message in messages:
        handler.handle(logging.makeLogRecord({"msg": message}))


def test_a_stopped_reader_holds_nobody_up_and_is_told_what_it_has_missed(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    handler = AsideHandler(writing, most_lines=20)
    messages = [f"{number:03} {'x' * 500}" for number in range(100)]
    saying = threading.Thread(target=say, args=(handler, *messages), daemon=True)
    saying.start()
    saying.join(10)
    assert not saying.is_alive()
    heard: list[bytes] = []

    def hear() -> None:
        while got := os.read(reading, 65_536):
            heard.append(got)

    hearing = threading.Thread(target=hear)
    hearing.start()
    handler.close()
    os.close(writing)
    hearing.join(10)
    lines = b"".join(heard).decode().splitlines()
    kept = [line for line in lines if line in messages]
    assert kept == messages[: len(kept)]
    assert 20 <= len(kept) < 40
    assert lines[-1].startswith(f"{len(messages) - len(kept)} messages were dropped")
    assert len(lines) == len(kept) + 1


def test_all_is_written_at_an_orderly_end(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    handler = AsideHandler(writing)
    messages = [f"{number} \ud800 é" for number in range(50)]
    say(handler, *messages)
    handler.close()
    os.close(writing)
    heard = os.read(reading, 65_536).decode()
    assert heard.splitlines() == [f"{number} \\ud800 é" for number in range(50)]


def test_a_reader_that_is_gone_is_no_fault(pipe: tuple[int, int]) -> None:
    _, writing = pipe
    other, closed = os.pipe()
    os.close(other)
    handler = AsideHandler(closed)
    say(handler, "to nobody")
    handler.close()
    os.close(closed)
    os.close(writing)
