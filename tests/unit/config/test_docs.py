"""The pages on the configuration name every key there is, and their examples are good files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from strangler_proxy.config import Config, Route, Upstream, parse
from strangler_proxy.config.tokens import TokenCheck

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def examples() -> Iterator[tuple[str, str]]:
    for page in sorted(DOCS.glob("*.md")):
        for number, found in enumerate(EXAMPLE.finditer(page.read_text(encoding="utf-8")), 1):
            if "upstreams:" in found[1]:
                yield f"{page.name}-{number}", found[1]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in examples()])
def test_every_example_is_a_good_file(text: str) -> None:
    assert parse(text).upstreams


def test_there_is_an_example() -> None:
    assert dict(examples())


def keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Every key of a model and of the models in it, dotted; not those under names of one's own."""
    for name, field in model.model_fields.items():
        nested = [each for each in _models(field.annotation) if each not in (Route, Upstream)]
        if not nested or "dict" in str(field.annotation) or "tuple" in str(field.annotation):
            yield before + name
        else:
            for each in nested:
                yield from keys(each, f"{before}{name}.")


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models(part)]


# What other pages or sentences say, or what a key stands for by its short form.
ELSEWHERE = {
    "serve.candidate_percent",
    "serve.by_upstream",
    "shadow.percent",
    "token.check",
    "token.optional",
    "limits.headers",
}


@pytest.mark.parametrize("model", [Config, Upstream, Route, TokenCheck])
def test_every_key_stands_in_the_reference(model: type[BaseModel]) -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    missing = [key for key in keys(model) if key not in ELSEWHERE and not _named(key, page)]
    assert missing == []


def _named(key: str, page: str) -> bool:
    """Whether a page has `a.b.c`, or `.c` in a row that begins with its sisters' `a.b.`"""
    if f"`{key}`" in page:
        return True
    parent, _, last = key.rpartition(".")
    rows = [line for line in page.splitlines() if f"`{parent}." in line]
    return bool(parent) and any(f"`.{last}`" in line or f"`{last}`" in line for line in rows)
