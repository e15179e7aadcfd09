"""What is asked when, and what the client gets, without a socket in sight."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.config import Compose, parse
from strangler_proxy.gateway.composition import Composed, Composition

JSON = b"Content-Type: application/json\r\n"
UNCACHED = b"Cache-Control: no-store\r\n"
BLOG = {
    "post": {"get": "/posts/{post_id}"},
    "author": {"get": "/users/{post.author_id}", "fallback": {"id": None, "name": "Unknown"}},
    "comments": {"get": "/comments?post={post_id}", "pick": "comments", "fallback": []},
}
POST = b'{"id": 7, "title": "Figs", "author_id": 3}'


def composition(
    parts: Mapping[str, Any], arguments: Mapping[str, Any] | None = None
) -> Composition:
    return Composition(Compose.model_validate({"parts": parts}), arguments or {"post_id": 7})


def targets(subject: Composition) -> dict[str, str]:
    return {ask.part: ask.target.decode() for ask in subject.ready()}


def asked_with(value: bytes, target: str = "/users/{post.author}") -> str | Composed | None:
    """What is asked for when a post's author is this; the outcome when nothing can be."""
    subject = composition({"post": {"get": "/post"}, "author": {"get": target}})
    subject.ready()
    subject.answered("post", 200, JSON, b'{"author": %b}' % value)
    return targets(subject).get("author") or subject.outcome()


def composed(**bodies: bytes) -> Composed:
    """The outcome of independent parts that were answered with these bodies."""
    subject = composition({name: {"get": "/" + name} for name in bodies})
    for ask in subject.ready():
        subject.answered(ask.part, 200, JSON, bodies[ask.part])
    outcome = subject.outcome()
    assert outcome is not None
    return outcome


def outcome_of(status: int, head: bytes = JSON, body: bytes = b"{}", **part: Any) -> Composed:
    """The outcome of a composition of one part that was answered with this."""
    subject = composition({"only": {"get": "/only", **part}})
    subject.ready()
    subject.answered("only", status, head, body)
    outcome = subject.outcome()
    assert outcome is not None
    return outcome


def test_independent_parts_are_asked_at_once_and_dependent_ones_after_what_they_need() -> None:
    blog = composition(BLOG)
    assert targets(blog) == {"post": "/posts/7", "comments": "/comments?post=7"}
    assert targets(blog) == {}
    blog.answered("post", 200, JSON, POST)
    assert targets(blog) == {"author": "/users/3"}
    assert blog.outcome() is None
    blog.answered("author", 200, JSON, b'{"id": 3, "name": "Ada"}')
    assert blog.outcome() is None
    blog.answered("comments", 200, JSON, b'{"comments": [{"id": 1}]}')
    assert blog.outcome() == Composed(
        200,
        JSON + UNCACHED,
        b'{"post":%b,"author":{"id": 3, "name": "Ada"},"comments":[{"id": 1}]}' % POST,
    )


def test_each_part_has_its_own_time() -> None:
    subject = composition({"slow": {"get": "/slow", "timeout_s": 9}, "usual": {"get": "/usual"}})
    assert [(ask.part, ask.timeout_s) for ask in subject.ready()] == [("slow", 9), ("usual", 5)]


def test_keys_stand_in_the_order_of_the_file_whoever_answers_first() -> None:
    subject = composition({"b": {"get": "/b"}, "a": {"get": "/a"}})
    subject.ready()
    subject.answered("a", 200, JSON, b"1")
    subject.answered("b", 200, JSON, b"2")
    assert (outcome := subject.outcome()) is not None
    assert outcome.body == b'{"b":2,"a":1}'


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


def test_an_answer_without_what_pick_names_does_not_count() -> None:
    outcome = outcome_of(200, body=b'{"coments": []}', pick="comments")
    assert outcome.detail == "part 'only' was answered without comments"
    assert outcome_of(200, body=b'{"comments": null}', pick="comments").body == b'{"only":null}'


def test_an_argument_that_would_lead_elsewhere_is_the_clients_fault() -> None:
    subject = composition({"page": {"get": "/pages/{name}"}}, {"name": "../admin"})
    assert subject.ready() == []
    assert (outcome := subject.outcome()) is not None
    assert outcome.status == 400


def test_a_part_that_cannot_be_asked_has_its_fallback() -> None:
    blog = composition(BLOG)
    blog.ready()
    blog.answered("post", 200, JSON, b'{"author_id": null}')
    assert targets(blog) == {}
    blog.answered("comments", 200, JSON, b'{"comments": []}')
    assert (outcome := blog.outcome()) is not None
    assert json.loads(outcome.body)["author"] == {"id": None, "name": "Unknown"}
    assert outcome.fallbacks == ("author",)


def test_references_are_looked_up_in_the_fallback_that_stands_in() -> None:
    parts = {
        "settings": {"get": "/settings", "fallback": {"theme": 1}},
        "theme": {"get": "/themes/{settings.theme}"},
        "font": {"get": "/fonts/{settings.font}", "fallback": "serif"},
    }
    subject = composition(parts)
    subject.ready()
    subject.failed("settings", 503, "its breaker is open")
    assert targets(subject) == {"theme": "/themes/1"}
    subject.answered("theme", 200, JSON, b'"dark"')
    assert (outcome := subject.outcome()) is not None
    assert outcome.body == b'{"settings":{"theme":1},"theme":"dark","font":"serif"}'
    assert outcome.fallbacks == ("settings", "font")


def test_a_fallback_for_one_may_be_the_end_of_another() -> None:
    parts = {"a": {"get": "/a", "fallback": None}, "b": {"get": "/{a.id}"}}
    subject = composition(parts)
    subject.ready()
    subject.failed("a", 504, "took too long")
    assert (outcome := subject.outcome()) is not None
    assert (outcome.status, outcome.detail) == (502, "part 'b' cannot be asked: there is no a.id")


def test_fallbacks_are_told_in_the_order_of_the_file_and_nobody_keeps_the_answer() -> None:
    blog = composition(BLOG)
    blog.ready()
    blog.failed("comments", 504, "upstream 'posts' did not answer in time")
    blog.answered("post", 200, JSON, POST)
    blog.ready()
    blog.answered("author", 404, JSON, b"{}")
    assert (outcome := blog.outcome()) is not None
    assert outcome.fallbacks == ("author", "comments")
    assert outcome.headers == JSON + UNCACHED + b"X-Composed-Fallback: author, comments\r\n"
    assert json.loads(outcome.body)["comments"] == []


def test_fallbacks_of_every_kind_in_the_file_become_json() -> None:
    config = parse(
        """
default: blog
upstreams: {blog: {url: http://127.0.0.1:1}}
routes:
- name: composed
  match: GET /it
  compose:
    parts:
      it: {get: /x, fallback: {f: 1.50, e: 1e3, x: 0x1F, b: &yes true, l: [1, ~, true], k: "é"}}
"""
    )
    compose = config.routes[0].compose
    assert compose is not None
    subject = Composition(compose, {})
    subject.ready()
    subject.failed("it", 502, "refused")
    assert (outcome := subject.outcome()) is not None
    expected = {"f": 1.5, "e": 1e3, "x": 31, "b": True, "l": [1, None, True], "k": "é"}
    assert json.loads(outcome.body) == {"it": expected}


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


def test_an_answer_that_was_not_asked_for_is_a_mistake_of_the_caller() -> None:
    subject = composition({"a": {"get": "/a"}})
    with pytest.raises(KeyError):
        subject.answered("a", 200, JSON, b"1")
    subject.ready()
    subject.answered("a", 200, JSON, b"1")
    with pytest.raises(KeyError):
        subject.failed("a", 502, "twice")


@dataclass(frozen=True)
class Case:
    """Parts that need each other, and what becomes of each when it is asked."""

    parts: dict[str, Any]
    fates: dict[str, tuple[int, bytes]]
    orders: tuple[list[float], list[float]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = [f"p{number}" for number in range(draw(st.integers(1, 6)))]
    parts, fates = {}, {}
    for number, name in enumerate(names):
        needed = draw(st.sets(st.sampled_from(names[:number]))) if number else set()
        query = "&".join(f"{other}={{{other}.k}}" for other in sorted(needed))
        parts[name] = {"get": f"/{name}?{query}"}
        if draw(st.booleans()):
            parts[name]["fallback"] = draw(st.sampled_from([None, {"k": name}, {"k": None}]))
        body = b'{"k": "%b"}' % name.encode()
        fate = st.sampled_from(
            [(200, body)] * 4 + [(200, b"{}"), (200, b"<"), (404, b""), (0, b"")]
        )
        fates[name] = draw(fate)
    in_file = draw(st.permutations(names))
    luck = st.lists(st.floats(0, 0.999), min_size=6, max_size=6)
    return Case({name: parts[name] for name in in_file}, fates, (draw(luck), draw(luck)))


def play(case: Case, luck: list[float]) -> tuple[Composed, list[str]]:
    """Drive a composition to its end, answering in a random order; also who was asked."""
    subject = composition(case.parts)
    under_way: list[str] = []
    asked: list[str] = []
    for fortune in luck:
        ready = [ask.part for ask in subject.ready()]
        asked += ready
        under_way += ready
        if (outcome := subject.outcome()) is not None:
            return outcome, asked
        name = under_way.pop(int(fortune * len(under_way)))  # never empty: something is to come
        status, body = case.fates[name]
        if status:
            subject.answered(name, status, JSON, body)
        else:
            subject.failed(name, 503, "is down")
    outcome = subject.outcome()
    assert outcome is not None
    return outcome, asked


def expected(case: Case) -> tuple[dict[str, Any], set[str]]:
    """By another way: the value of each part, and the required parts that fail of themselves."""
    values: dict[str, Any] = {}
    failing: set[str] = set()
    for name in sorted(case.parts):  # a part needs only those numbered before it
        part = case.parts[name]
        needed = [piece.partition("=")[0] for piece in part["get"].partition("?")[2].split("&")]
        if any(other and other not in values for other in needed):
            continue  # never asked
        reachable = all((values[other] or {}).get("k") for other in needed if other)
        status, body = case.fates[name]
        if reachable and status == 200 and body != b"<":
            values[name] = json.loads(body)
        elif "fallback" in part:
            values[name] = part["fallback"]
        else:
            failing.add(name)
    return values, failing


@given(cases())
def test_whatever_the_order_of_answers_the_outcome_is_the_same(case: Case) -> None:
    values, failing = expected(case)
    outcomes = []
    for luck in case.orders:
        outcome, asked = play(case, luck)
        assert len(asked) == len(set(asked))
        outcomes.append(outcome)
        if not failing:
            assert outcome.status == 200
            assert json.loads(outcome.body) == values
            assert list(json.loads(outcome.body)) == list(case.parts)
        else:
            # It ends with the first that is known to have failed: which, may depend on the order.
            assert outcome.status in (404, 502, 503)
            assert outcome.detail is None or outcome.detail.split("'")[1] in failing
    if len(failing) < 2:
        assert outcomes[0] == outcomes[1]
