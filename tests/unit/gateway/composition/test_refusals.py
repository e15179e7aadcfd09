"""A required part that fails ends it; which of several failures is told."""

import pytest

from strangler_proxy.gateway.composition import Composed
from tests.unit.gateway.composition.parts import JSON, UNCACHED, composition, outcome_of


def test_a_refusal_of_a_required_part_is_the_answer() -> None:
    head = (
        b" 401 UNAUTHORIZED\r\nServer: gunicorn\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\n"
        b'WWW-Authenticate: Bearer realm="blog"\r\nCache-Control: max-age=60\r\nETag: "x"\r\n'
        b"WWW-Authenticate: Basic\r\nRateLimit-Remaining: 0\r\nretry-after: 3\r\n"
    )
    assert outcome_of(401, head, b"<h1>No</h1>") == Composed(
        401,
        b'Content-Type: text/html\r\nWWW-Authenticate: Bearer realm="blog"\r\n'
        b"WWW-Authenticate: Basic\r\nRateLimit-Remaining: 0\r\nretry-after: 3\r\n" + UNCACHED,
        b"<h1>No</h1>",
    )


@pytest.mark.parametrize(("status", "told"), [(500, 502), (502, 502), (503, 503), (504, 504)])
def test_the_trouble_of_a_required_part_is_told_by_its_name(status: int, told: int) -> None:
    outcome = outcome_of(status, b"Retry-After: 9\r\nContent-Type: text/html\r\n", b"<pre>secrets")
    assert outcome == Composed(
        told, b"Retry-After: 9\r\n" + UNCACHED, detail=f"part 'only' was answered {status}"
    )


@pytest.mark.parametrize(
    ("status", "told"), [(502, 502), (503, 503), (504, 504), (508, 502), (429, 429), (401, 401)]
)
def test_what_the_proxy_could_not_have_is_told_with_its_reason(status: int, told: int) -> None:
    subject = composition({"only": {"get": "/only"}})
    subject.ready()
    subject.failed("only", status, "upstream 'x' is gone", b"Retry-After: 1\r\n")
    assert subject.outcome() == Composed(
        told,
        b"Retry-After: 1\r\n" + UNCACHED,
        detail="part 'only' could not be had: upstream 'x' is gone",
    )


def test_a_required_part_that_fails_ends_it_while_others_are_under_way() -> None:
    parts = {"a": {"get": "/a"}, "b": {"get": "/b"}, "c": {"get": "/{b.id}"}}
    subject = composition(parts)
    subject.ready()
    subject.failed("a", 504, "took too long")
    assert (outcome := subject.outcome()) is not None
    assert outcome.status == 504
    subject.answered("b", 200, JSON, b'{"id": 1}')
    assert subject.ready() == []
    assert subject.outcome() == outcome


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_of_several_failures_the_first_in_the_file_is_told(order: str) -> None:
    subject = composition({"a": {"get": "/a"}, "b": {"get": "/b"}})
    subject.ready()
    for name in order:
        subject.answered(name, 404, b"", name.encode())
    assert (outcome := subject.outcome()) is not None
    assert outcome.body == b"a"
