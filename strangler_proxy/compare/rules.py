"""What may differ between two answers, each allowance with a name of its own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from strangler_proxy.compare.finding import Difference
from strangler_proxy.compare.jsonpath import JsonPath, Step

# These describe one message or one connection, not the resource (RFC 9110, 9112), and a body's
# length is judged with the body.
PER_MESSAGE_HEADERS = frozenset(
    {
        "age",
        "connection",
        "content-length",
        "date",
        "forwarded",
        "keep-alive",
        "server",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-request-id",
    }
)


class RuleError(ValueError):
    """A rule that cannot be read; the message names it and shows what can be."""


class BodyComparator(Protocol):
    """Judges bodies of one media type in place of a comparison byte by byte."""

    @property
    def name(self) -> str:
        """What findings call this comparator."""

    def __call__(self, control: bytes, candidate: bytes) -> Iterable[Difference]:
        """The differences, none if the bodies mean the same. Raises NotComparable."""


@dataclass(frozen=True, slots=True)
class JsonRule:
    """Allows a difference at a path and below it.

    With `keeps_type` the value may differ but must be there on both sides, with one JSON type.
    """

    path: JsonPath
    name: str
    keeps_type: bool = False

    @classmethod
    def at(cls, path: str, name: str | None = None, *, keeps_type: bool = False) -> "JsonRule":
        """Read a path such as `$.posts[*].id`; the path is the name if none is given."""
        try:
            return cls(JsonPath.parse(path), name or f"ignore {path}", keeps_type)
        except ValueError as fault:
            raise RuleError(str(fault)) from fault

    def allows(self, place: tuple[Step, ...], *, same_type: bool) -> bool:
        """Whether this rule explains a difference there."""
        return (same_type or not self.keeps_type) and self.path.covers(place)


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything a comparison is told beforehand.

    `headers`: the names to compare; None compares all but PER_MESSAGE_HEADERS.
    `ignored_headers`: header name -> name of the rule that allows it to differ.
    `ignored_body`: name of a rule that allows the whole body to differ.
    `bodies`: media type, or `image/*`, -> comparator.
    """

    json: tuple[JsonRule, ...] = ()
    headers: frozenset[str] | None = None
    ignored_headers: Mapping[str, str] = field(default_factory=dict)
    ignored_body: str | None = None
    bodies: Mapping[str, BodyComparator] = field(default_factory=dict)

    @classmethod
    def parse(
        cls,
        ignore: Iterable[str] = (),
        *,
        headers: Iterable[str] | None = None,
        bodies: Mapping[str, BodyComparator] | None = None,
    ) -> "Rules":
        """Read the `compare.ignore` list of a route: JSON paths, `header:NAME` and `body`.

        `headers` chooses the only headers to compare. Raises RuleError.
        """
        chosen = None if headers is None else frozenset(name.lower() for name in headers)
        rules = cls(headers=chosen, bodies=dict(bodies or {}))
        for text in ignore:
            rules = rules.ignoring(text)
        return rules

    def ignoring(self, text: str, name: str | None = None) -> "Rules":
        """These rules and one more, written as in `compare.ignore`. Raises RuleError."""
        name = name or f"ignore {text}"
        if text.startswith("$"):
            return replace(self, json=(*self.json, JsonRule.at(text, name)))
        if text == "body":
            return replace(self, ignored_body=name)
        kind, _, header = text.partition(":")
        if kind == "header" and header.strip():
            ignored = {**self.ignored_headers, header.strip().lower(): name}
            return replace(self, ignored_headers=ignored)
        raise RuleError(
            f"compare rule {text!r} is not understood: write a JSON path such as '$.posts[*].id', "
            "'header:etag' or 'body'"
        )

    def compares_header(self, name: str) -> bool:
        """Whether differences in this header (lower case) are looked for at all."""
        return name not in PER_MESSAGE_HEADERS if self.headers is None else name in self.headers

    def comparator(self, media_type: str) -> BodyComparator | None:
        """The comparator for a media type: its own, or that of its whole family."""
        family = f"{media_type.partition('/')[0]}/*"
        return self.bodies.get(media_type) or self.bodies.get(family)
