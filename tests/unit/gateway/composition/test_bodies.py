"""Which answers count as a part: whole successes of one JSON document."""

import pytest

from tests.unit.gateway.composition.parts import JSON, composed, composition, outcome_of


@pytest.mark.parametrize(
    "body",
    [
        b'{"z": 1.00, "a": 1e2, "big": 123456789012345678901234567890}',
        b'{"escaped": "\\u00e9\\/", "plain": "\xc3\xa9"}',
        b'{"twice": 1, "twice": 2}',
        b"1e999",
        b"-0",
        b"null",
        b'"text"',
        b"[" * 300 + b"]" * 300,
    ],
)
def test_the_bytes_of_a_part_pass_as_they_came(body: bytes) -> None:
    assert composed(it=b" \n" + body + b"\t ").body == b'{"it":%b}' % body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{} x",
        b"{}{}",
        b"{}\x00",
        b"[1,]",
        b'{"a":1,}',
        b"{'a':1}",
        b"[NaN]",
        b"Infinity",
        b"01",
        b"1.",
        b'"\x01"',
        b'"\\x"',
        b'"\\ud800"',
        b'"\xff"',
        b'{"\xff": 1}',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b"\xef\xbb\xbf{}",
        b'"cut sho',
        b'],"post":[',
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_is_not_one_json_document_in_utf_8_does_not_count(body: bytes) -> None:
    outcome = outcome_of(200, body=body)
    assert (outcome.status, outcome.body) == (502, b"")
    assert outcome.detail is not None
    assert outcome.detail.startswith("part 'only' was answered with what is not JSON: ")
    assert outcome_of(200, body=body, fallback=0).body == b'{"only":0}'


def test_a_document_as_deep_as_can_be_is_looked_into_or_refused_but_never_breaks() -> None:
    for depth in range(400, 1100, 7):
        subject = composition({"deep": {"get": "/"}, "next": {"get": "/{deep.a.a.b}"}})
        subject.ready()
        subject.answered("deep", 200, JSON, b'{"a":' * depth + b"1" + b"}" * depth)
        assert (outcome := subject.outcome()) is not None
        assert outcome.status == 502


@pytest.mark.parametrize(
    ("head", "counts"),
    [
        (b"Content-Type: application/json; charset=utf-8\r\n", True),
        (b" 200 OK\r\nserver: x\r\ncontent-type:application/problem+JSON\r\n", True),
        (b"", True),  # nothing is said: the body decides
        (b"Content-Type: text/html\r\n", False),
        (
            b"X-Content-Type: application/json\r\nContent-Type: text/plain; a=application/json",
            False,
        ),
    ],
)
def test_only_what_says_that_it_is_json_counts(head: bytes, counts: bool) -> None:
    assert outcome_of(200, head, b"{}").status == (200 if counts else 502)


@pytest.mark.parametrize("status", [204, 206, 301, 304, 500, 599])
def test_only_a_whole_success_counts(status: int) -> None:
    body = b"" if status == 204 else b"{}"
    assert outcome_of(status, body=body).status == 502
    assert outcome_of(status, body=body, fallback=None).fallbacks == ("only",)


def test_an_answer_without_what_pick_names_does_not_count() -> None:
    outcome = outcome_of(200, body=b'{"coments": []}', pick="comments")
    assert outcome.detail == "part 'only' was answered without comments"
    assert outcome_of(200, body=b'{"comments": null}', pick="comments").body == b'{"only":null}'
