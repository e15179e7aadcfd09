"""What is decided about payments needs no framework, and no other part of the example."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from extracted import payment

FOLDER = Path(payment.__file__).parent
PURE = ("service.py", "charging.py", "reconciling.py", "money.py")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("name", PURE)
def test_what_is_decided_needs_no_framework(name: str) -> None:
    tops = {module.partition(".")[0] for module in imported(FOLDER / name)}
    assert tops.isdisjoint({"flask", "werkzeug", "sqlalchemy", "stripe", "requests"})


def test_it_knows_the_chassis_and_no_other_part() -> None:
    parts = {
        ".".join(module.split(".")[:2])
        for path in FOLDER.glob("*.py")
        for module in imported(path)
        if module.startswith(("extracted", "monolith", "strangler_proxy", "scripts"))
    }
    assert parts == {"extracted.chassis", "extracted.payment"}
