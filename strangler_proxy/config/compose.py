"""One answer made of several: its parts, and what each needs of the others. Frozen values.

A part's target may hold `{name}`, an argument of the route's rule, and `{part.key.key}`, a value in
the answer of another part (in what `pick` takes out of it), which is then asked first.
"""

import math
import re
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from ruamel.yaml.scalarbool import ScalarBoolean

from strangler_proxy.config.fields import Count, Frozen, HeaderName, Seconds, checked

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\{{({_WORD}(?:\.(?:{_WORD}|\d+))*)\}}")
PartName = Annotated[str, checked(re.compile(_WORD), "is not a part's name: letters, digits, '_'")]
DottedPath = Annotated[
    str,
    checked(
        re.compile(rf"{_WORD}(?:\.(?:{_WORD}|\d+))*"),
        "is not a path into an answer: write keys with dots between, such as data.items",
    ),
]


def _target(text: str) -> str:
    left = _REFERENCE.sub("0", text)
    if not left.startswith("/") or left.startswith("//"):
        raise ValueError(f"'{text}' is not a target: write a path such as /posts/{{post_id}}")
    if re.search(r"[{}\s#]", left) or not left.isascii():
        raise ValueError(
            f"'{text}' has something besides a path, a query, {{argument}} and {{part.key}}"
        )
    return text


def _plain(value: Any) -> Any:
    """JSON values without the marks that a YAML reader leaves on them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, ScalarBoolean):  # an int, as far as Python knows
        return bool(value)
    if isinstance(value, str | int):
        return str(value) if isinstance(value, str) else int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {str(key): _plain(item) for key, item in value.items()}
    raise ValueError(f"'{value}' is no JSON value: put text, and keys, between quotes")


class Part(Frozen):
    """One of the answers, asked for by GET through the proxy's own routes."""

    get: Annotated[str, AfterValidator(_target)]
    pick: DottedPath | None = Field(
        None, description="take this value out of the answer, such as comments; all of it otherwise"
    )
    fallback: Annotated[Any, BeforeValidator(_plain)] = Field(
        None, description="stands in when the part cannot be had; without it the whole answer fails"
    )
    timeout_s: Seconds = Field(5, description="the part must be here whole within this time")

    @property
    def has_fallback(self) -> bool:
        """Whether something can stand in; it may be null."""
        return "fallback" in self.model_fields_set

    @cached_property
    def references(self) -> tuple[tuple[str, ...], ...]:
        """What its target needs, each as keys: ('post_id',) or ('post', 'author', 'id')."""
        return tuple(tuple(found.split(".")) for found in _REFERENCE.findall(self.get))

    def target(self, values: dict[tuple[str, ...], str]) -> str:
        """Its target with these (percent-encoded) values put in."""
        return _REFERENCE.sub(lambda found: values[tuple(found[1].split("."))], self.get)


class Compose(Frozen):
    """An answer whose keys are the names of its parts; independent parts are asked in parallel."""

    parts: dict[PartName, Part] = Field(min_length=1, max_length=32)
    pass_headers: tuple[HeaderName, ...] = Field(
        ("authorization", "cookie", "accept-language", "traceparent", "tracestate", "baggage"),
        description="the client's headers that go with each part",
    )
    part_bytes: Count = Field(8 * 2**20, description="longest answer of a part")

    @cached_property
    def needs(self) -> dict[str, frozenset[str]]:
        """For each part the parts that must be there first."""
        return {
            name: frozenset(
                keys[0] for keys in part.references if len(keys) > 1 and keys[0] in self.parts
            )
            for name, part in self.parts.items()
        }

    @model_validator(mode="after")
    def _parts_can_be_put_in_order(self) -> "Compose":
        for name, part in self.parts.items():
            for keys in part.references:
                if len(keys) > 1 and keys[0] not in self.parts:
                    raise ValueError(
                        f"{name} needs {{{'.'.join(keys)}}}, but there is no part '{keys[0]}'"
                    )
        try:
            TopologicalSorter(self.needs).prepare()
        except CycleError as fault:
            raise ValueError(f"parts wait for each other: {' -> '.join(fault.args[1])}") from None
        return self

    @property
    def arguments(self) -> frozenset[str]:
        """The arguments of the route's rule that its parts need."""
        return frozenset(
            keys[0] for part in self.parts.values() for keys in part.references if len(keys) == 1
        )
