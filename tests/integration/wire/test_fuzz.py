"""Random splits and malformed bytes: no hang, no crash, no answer to another's request.

The proxy is real, on a loopback port; its upstream echoes what it was asked, so that each answer
can be matched to its request. An exception in any callback of the proxy fails the module.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.wire_tools.client import Answer, Client
from tests.wire_tools.malformed import BAD_BODIES, BAD_HEADS
from tests.wire_tools.proxy import Proxy, config
from tests.wire_tools.stream import Broken, Ended, Message, Stream
from tests.wire_tools.upstream import Peer, Upstream

pytestmark = pytest.mark.timeout(300)
FUZZ = settings(
    deadline=None,
    database=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_ids = itertools.count(1)


@dataclass
class Fuzzed:
    """The proxy under test, and what its upstream is to say to a request, by the request's id."""

    proxy: Proxy
    upstream: Upstream
    plans: dict[str, list[bytes]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Fuzzed]:
    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            plan = shared.plans.get(request.target)
            if plan is None:
                peer.echo(request)
                continue
            for piece in plan:
                peer.send(piece)
                os.sched_yield()
            if not request.target.endswith("keep"):
                return

    # Bodies are smaller and larger than what is gathered of them.
    limits = {"gather_bytes": 2000}
    with (
        Upstream(script) as upstream,
        Proxy(config(upstreams={"echo": upstream.url}, limits=limits)) as proxy,
    ):
        shared = Fuzzed(proxy, upstream)
        yield shared


# --- requests

BODY = st.binary(max_size=300) | st.integers(0, 70_000).map(lambda size: b"0123456789abcdef" * size)
LINES = st.lists(
    st.sampled_from(
        [
            *(b"X-A: 1", b"X-A:", b"x-a: \t2", b"Cookie: a=b; c", b"Accept: */*"),
            *(b"Connection: keep-alive", b"Connection: x-a, keep-alive", b"TE: trailers"),
            *(b"Expect: 100-continue", b"Via: 1.0 other", b"X_Forwarded_For: 1.1.1.1"),
        ]
    ),
    max_size=4,
)
CHUNKS = st.lists(st.integers(1, 40), max_size=6)


@dataclass
class Asked:
    """A valid request: its bytes, and what the upstream must have seen of it."""

    target: str
    method: str
    raw: bytes
    body: bytes


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]))
    target = f"/{next(_ids)}?{draw(st.text('ab%2F/.;&=', max_size=9))}"
    framing = draw(st.sampled_from(["none", "counted", "chunked"]))
    body = draw(BODY) if framing != "none" else b""
    lines = list(draw(LINES))
    if framing == "counted":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: Chunked")
    head = [b"%b %b HTTP/1.1" % (method.encode(), target.encode()), b"Host: h", *lines, b"", b""]
    sent = chunked(body, draw(CHUNKS), draw(st.booleans())) if framing == "chunked" else body
    return Asked(target, method, b"\r\n".join(head) + sent, body)


def chunked(body: bytes, sizes: list[int], trailers: bool) -> bytes:
    """Frame a body in chunks of these sizes, and one for the rest."""
    out, at = b"", 0
    for size in [*sizes, len(body)]:
        piece = body[at : at + size]
        at += len(piece)
        out += b"%X;x=y\r\n%b\r\n" % (len(piece), piece) if piece else b""
    return out + b"000\r\n" + (b"X-Sum: 1\r\n" if trailers else b"") + b"\r\n"


def split(data: bytes, cuts: list[float]) -> list[bytes]:
    """Cut at these fractions of the whole."""
    places = sorted({int(cut * len(data)) for cut in cuts})
    return [data[a:b] for a, b in itertools.pairwise([0, *places, len(data)]) if a < b]


CUTS = st.lists(st.floats(0, 1), max_size=12)


def send(client: Client, pieces: list[bytes]) -> None:
    """Send pieces, each in a segment of its own where the kernel agrees."""
    try:
        for piece in pieces:
            client.send(piece)
            os.sched_yield()
    except OSError:
        return  # refused already; what the proxy said can still be read


def assert_answers(client: Client, asked: list[Asked]) -> None:
    for request in asked:
        answer = client.answer(request.method)
        assert answer.status == 200, answer.body
        if request.method != "HEAD":
            said = answer.json()
            assert (said["method"], said["target"]) == (request.method, request.target)
            assert said["body"].encode("latin-1") == request.body


@settings(FUZZ, max_examples=150)
@given(asked=st.lists(requests(), min_size=1, max_size=6), cuts=CUTS)
def test_pipelines_split_anywhere_are_answered_in_order(
    fuzzed: Fuzzed, asked: list[Asked], cuts: list[float]
) -> None:
    with Client(fuzzed.proxy.port) as client:
        send(client, split(b"".join(request.raw for request in asked), cuts))
        assert_answers(client, asked)


@settings(FUZZ, max_examples=60)
@given(request=requests())
def test_requests_sent_byte_by_byte_are_answered(fuzzed: Fuzzed, request: Asked) -> None:
    assume(len(request.raw) < 2000)
    with Client(fuzzed.proxy.port) as client:
        send(client, [request.raw[at : at + 1] for at in range(len(request.raw))])
        assert_answers(client, [request])


MALFORMED = st.sampled_from(BAD_HEADS) | st.sampled_from(BAD_BODIES).map(
    lambda body: b"POST /bad HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + body
)


@settings(FUZZ, max_examples=250)
@given(
    before=st.lists(requests(), max_size=3),
    bad=MALFORMED,
    after=st.lists(requests(), max_size=2),
    cuts=CUTS,
)
def test_malformed_request_ends_the_connection_after_the_answers_before_it(
    fuzzed: Fuzzed, before: list[Asked], bad: bytes, after: list[Asked], cuts: list[float]
) -> None:
    parts = [*(request.raw for request in before), bad, *(request.raw for request in after)]
    with Client(fuzzed.proxy.port) as client:
        send(client, split(b"".join(parts), cuts))
        assert_answers(client, before)
        answer = client.answer()
        assert answer.status in (400, 501, 505)
        assert answer.header("Content-Type") == b"application/problem+json"
        assert client.ended()
    seen = fuzzed.upstream.targets
    assert "/bad" not in seen
    assert not {request.target for request in after} & set(seen)


MUTATION = st.tuples(
    st.floats(0, 1),
    st.sampled_from(["set", "insert", "delete"]),
    st.binary(min_size=1, max_size=3) | st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b":", b" "]),
)


def mutate(data: bytes, mutations: list[tuple[float, str, bytes]]) -> bytes:
    for place, how, new in mutations:
        at = int(place * len(data))
        gone = 0 if how == "insert" else len(new)
        data = data[:at] + (b"" if how == "delete" else new) + data[at + gone :]
    return data


@settings(FUZZ, max_examples=250)
@given(
    asked=st.lists(requests(), min_size=1, max_size=3),
    mutations=st.lists(MUTATION, min_size=1, max_size=4),
    cuts=CUTS,
)
def test_mutated_requests_are_answered_or_refused_and_end(
    fuzzed: Fuzzed, asked: list[Asked], mutations: list[tuple[float, str, bytes]], cuts: list[float]
) -> None:
    first = len(fuzzed.upstream.requests)
    raw = mutate(b"".join(request.raw for request in asked), mutations)
    answered = []
    with Client(fuzzed.proxy.port) as client:
        send(client, split(raw, cuts))
        client.end()
        try:
            while True:
                # A mutated method may be HEAD or not: the head alone is read, the echo's target
                # stands in the body, which comes or does not.
                answer = client.head()
                if answer.status >= 200:
                    answered.append(answer.status)
                    take_body(client, answer)
        except (Ended, Broken):
            pass
    assert all(status == 200 or 400 <= status < 600 for status in answered)
    assert len([status for status in answered if status == 200]) <= (
        len(fuzzed.upstream.requests) - first
    )
    with Client(fuzzed.proxy.port) as client:
        assert client.ask("/still-well").status == 200


def take_body(client: Client, answer: Answer) -> None:
    """Skip a body that may be missing because the request was HEAD."""
    length = int(answer.header("Content-Length") or 0)
    while not client.stream.buffer and length:
        if not client.stream.fill():
            return
    if not client.stream.buffer.startswith(b"HTTP/1.1 "):
        client.stream.exactly(length)


# --- answers


@dataclass
class Said:
    """What the upstream says: its bytes, and what they mean."""

    raw: bytes
    body: bytes
    until_close: bool


@st.composite
def answers(draw: st.DrawFn) -> Said:
    framing = draw(st.sampled_from(["counted", "chunked", "until close"]))
    body = draw(BODY)
    lines = [b"X-A: 1", *draw(st.lists(st.sampled_from([b"Set-Cookie: a", b"X:", b"Via: 1.1 x"])))]
    if framing == "counted":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * draw(st.integers(0, 2))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0"])) if framing != "chunked" else None
    head = b"\r\n".join([(version or b"HTTP/1.1") + b" 200 OK", *lines, b"", b""])
    sent = chunked(body, draw(CHUNKS), draw(st.booleans())) if framing == "chunked" else body
    return Said(hints + head + sent, body, framing == "until close")


def asked_through(fuzzed: Fuzzed, pieces: list[bytes], *, keep: bool = False) -> Answer | None:
    """The answer to a request to which the upstream says this; None when it breaks off.

    The next request on the same connection must get its own answer, whatever came before.
    """
    target = f"/plan/{next(_ids)}/{'keep' if keep else 'close'}"
    fuzzed.plans[target] = pieces
    with Client(fuzzed.proxy.port) as client:
        after = f"/after/{next(_ids)}"
        ask = b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx" % target.encode()
        send(client, [ask, b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % after.encode()])
        try:
            answer = client.answer()
        except (Broken, Ended):
            return None
        finally:
            del fuzzed.plans[target]
        assert client.answer().json()["target"] == after
        return answer


@settings(FUZZ, max_examples=150)
@given(said=answers(), cuts=CUTS)
def test_answers_split_anywhere_arrive_exactly(
    fuzzed: Fuzzed, said: Said, cuts: list[float]
) -> None:
    keep = not said.until_close and b"HTTP/1.0" not in said.raw
    answer = asked_through(fuzzed, split(said.raw, cuts), keep=keep)
    assert answer is not None
    assert (answer.status, answer.body) == (200, said.body)


@settings(FUZZ, max_examples=150)
@given(said=answers(), cuts=CUTS, end=st.floats(0, 1, exclude_max=True))
def test_cut_answers_never_arrive_as_whole(
    fuzzed: Fuzzed, said: Said, cuts: list[float], end: float
) -> None:
    cut = said.raw[: int(end * len(said.raw))]
    answer = asked_through(fuzzed, split(cut, cuts))
    if said.until_close and answer is not None and answer.status == 200:
        # Nothing tells this one from a whole answer: its end is the connection's.
        assert said.body.startswith(answer.body)
    else:
        assert answer is None or answer.status == 502


@settings(FUZZ, max_examples=150)
@given(said=answers(), surplus=st.binary(min_size=1, max_size=50), cuts=CUTS)
def test_surplus_after_an_answer_never_shows(
    fuzzed: Fuzzed, said: Said, surplus: bytes, cuts: list[float]
) -> None:
    assume(not said.until_close)
    answer = asked_through(fuzzed, [said.raw + surplus, *split(surplus, cuts)])
    assert answer is not None
    assert answer.body == said.body


class Memory:
    """A socket that has already said all."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def recv(self, size: int) -> bytes:
        data, self._data = self._data, b""
        return data


def understood(raw: bytes) -> Message | None:
    """What a strict reader makes of an answer's bytes; None when it refuses them.

    Empty lines before an answer, interim or final, and a missing space after the status are
    forgiven, as llhttp does.
    """
    stream = Stream(Memory(raw.lstrip(b"\r\n")), extensions=True)  # type: ignore[arg-type]
    message = Message()
    try:
        status = b"1"
        while status.startswith(b"1"):
            while stream.buffer.startswith(b"\r\n"):
                del stream.buffer[:2]
            start, message.headers = stream.head()
            _, status, _ = (start + b" ").split(b" ", 2)
        if message.header("Transfer-Encoding") is not None:
            message.body, _ = stream.chunked()
        elif (length := message.header("Content-Length")) is not None:
            message.body = stream.exactly(int(length))
        else:
            message.body = stream.rest()
        if status in (b"204", b"304"):
            message.body = b""
    except (AssertionError, ValueError, Broken, Ended):
        return None
    return message


@settings(FUZZ, max_examples=300)
@given(said=answers(), mutations=st.lists(MUTATION, min_size=1, max_size=3), cuts=CUTS)
def test_mutated_answers_arrive_as_a_strict_reader_has_them_or_not_at_all(
    fuzzed: Fuzzed, said: Said, mutations: list[tuple[float, str, bytes]], cuts: list[float]
) -> None:
    raw = mutate(said.raw, mutations)
    assume(b"HTTP/1.1 101" not in raw)
    answer = asked_through(fuzzed, split(raw, cuts))
    if answer is None or answer.header("Content-Type") == b"application/problem+json":
        return
    expected = understood(raw)
    assert expected is not None, "passed on, though a strict reader refuses it"
    assert answer.body == expected.body
