"""An answer's head: what is of the hop is cut out, all else passes as the bytes it is."""

from __future__ import annotations

import time

import pytest

from strangler_proxy.wire import response
from strangler_proxy.wire.request import CHUNKED, COUNTED
from strangler_proxy.wire.response import UNKNOWN, UNTIL_CLOSE


def read(*lines: bytes, status: int = 200) -> tuple[list[bytes], int, int]:
    raw = b"".join(line + b"\r\n" for line in (b"HTTP/1.1 %d OK" % status, *lines))
    passing, body, length = response.read_head(raw, status, bodiless=False)
    assert passing.startswith(b" %d OK\r\n" % status)
    return passing.split(b"\r\n")[1:-1], body, length


def test_lines_of_the_hop_are_cut_out_wherever_they_stand() -> None:
    passing, body, length = read(
        b"TE: a", b"Te: b", b"A: te: 1", b"Connection: X-Hop, close", b"Content-Length: 5",
        b"x-hop: 1", b"B: 2", b"Upgrade: h2c", b"Keep-Alive: 5",
    )  # fmt: skip
    assert passing == [b"A: te: 1", b"Content-Length: 5", b"B: 2"]
    assert (body, length) == (COUNTED, 5)


def test_head_with_nothing_of_the_hop_passes_whole() -> None:
    assert read(b"A: 1", b"B:  2 ") == ([b"A: 1", b"B:  2 "], UNTIL_CLOSE, 0)


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (b" chunked", CHUNKED), (b"\tChunked  ", CHUNKED), (b"chunked", CHUNKED),
        (b" chunked\t", UNKNOWN), (b" chunked \t", UNKNOWN), (b" gzip, chunked", UNKNOWN),
    ],
)  # fmt: skip
def test_only_what_the_parser_takes_for_chunks_is_chunked(value: bytes, body: int) -> None:
    assert read(b"Transfer-Encoding:" + value, b"A: 1") == ([b"A: 1"], body, 0)


@pytest.mark.parametrize("line", [b"te:", b"connection:a%d", b"connection:%d\r\nx:1"])
def test_time_for_a_long_head_grows_with_its_length_only(line: bytes) -> None:
    lines = [line % at if b"%" in line else line for at in range(200_000 // (len(line) + 4))]
    before = time.process_time()
    read(*lines)
    assert time.process_time() - before < 0.25
