"""Compositions of parts that were answered, without a socket in sight."""

from collections.abc import Mapping
from typing import Any

from strangler_proxy.config import Compose
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
