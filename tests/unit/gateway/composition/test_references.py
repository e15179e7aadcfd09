"""Values that one part's target takes from another's answer, or from the request."""

import pytest

from strangler_proxy.gateway.composition import Composed
from tests.unit.gateway.composition.parts import JSON, UNCACHED, asked_with, composition, targets


@pytest.mark.parametrize(
    ("value", "target"),
    [
        (b"3", "/users/3"),
        (b'"ada"', "/users/ada"),
        (b'"a/b?c#d %2e&\\u00e9\\r\\n"', "/users/a%2Fb%3Fc%23d%20%252e%26%C3%A9%0D%0A"),
        (b"12345678901234567890123", "/users/12345678901234567890123"),
        (b"1.50", "/users/1.50"),
        (b"1e+2", "/users/1e%2B2"),
        (b'"..."', "/users/..."),
        (b'"%2e%2e"', "/users/%252e%252e"),
    ],
)
def test_values_in_targets_are_percent_encoded_and_keep_their_digits(
    value: bytes, target: str
) -> None:
    assert asked_with(value) == target


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"null", "post.author is null, not a text or a number"),
        (b"true", "post.author is true, not a text or a number"),
        (b"false", "post.author is false, not a text or a number"),
        (b"[3]", "post.author is a list, not a text or a number"),
        (b'{"id": 3}', "post.author is an object, not a text or a number"),
        (b'""', "post.author is empty, and /users/ is another resource"),
        (b'".."', "/users/.. leads elsewhere"),
        (b'"."', "/users/. leads elsewhere"),
        (b'"a/../../admin"', "/users/a%2F..%2F..%2Fadmin leads elsewhere"),
        (b'"' + b"x" * 9000 + b'"', "its target is over 8192 bytes"),
        (b"9" * 9000, "its target is over 8192 bytes"),
    ],
)
def test_a_part_whose_target_cannot_be_made_fails_the_answer_and_says_why(
    value: bytes, why: str
) -> None:
    assert asked_with(value) == Composed(
        502, UNCACHED, detail=f"part 'author' cannot be asked: {why}"
    )


def test_an_empty_value_or_dots_in_a_query_are_values_like_any_other() -> None:
    assert asked_with(b'""', "/users?name={post.author}") == "/users?name="
    assert asked_with(b'".."', "/users?name={post.author}&a=/../") == "/users?name=..&a=/../"


@pytest.mark.parametrize("missing", ["{post.writer}", "{post.id.x}", "{post.list.2}", "{post.0}"])
def test_a_path_that_leads_to_nothing_is_named(missing: str) -> None:
    subject = composition({"post": {"get": "/"}, "author": {"get": f"/users/{missing}"}})
    subject.ready()
    subject.answered("post", 200, JSON, b'{"id": 1, "list": [1, 2], "author": {"id": 4}}')
    assert (outcome := subject.outcome()) is not None
    assert outcome.detail == f"part 'author' cannot be asked: there is no {missing[1:-1]}"


def test_references_reach_into_lists_and_escaped_keys_and_take_the_last_of_two() -> None:
    parts = {"post": {"get": "/"}, "next": {"get": "/{post.tags.1.id}/{post.twice}"}}
    subject = composition(parts)
    subject.ready()
    body = b'{"t\\u0061gs": [{"id": 1}, {"id": 2}], "twice": 3, "twice": 4}'
    subject.answered("post", 200, JSON, body)
    assert targets(subject) == {"next": "/2/4"}


def test_references_see_what_pick_took_out() -> None:
    parts = {"post": {"get": "/", "pick": "data.0"}, "author": {"get": "/users/{post.author}"}}
    subject = composition(parts)
    subject.ready()
    subject.answered("post", 200, JSON, b'{"data": [{"author": 5}], "author": 6}')
    assert targets(subject) == {"author": "/users/5"}


def test_an_argument_that_would_lead_elsewhere_is_the_clients_fault() -> None:
    subject = composition({"page": {"get": "/pages/{name}"}}, {"name": "../admin"})
    assert subject.ready() == []
    assert (outcome := subject.outcome()) is not None
    assert outcome.status == 400
