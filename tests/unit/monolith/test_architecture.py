"""Who may import whom, read from the sources: the worked example's side of the design."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def imported(path: Path) -> set[str]:
    """The modules that a file imports, as written."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def offenders(folder: str, forbidden: tuple[str, ...], allowed: str = "-") -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in sorted(imported(path))
        if f"{name}.".startswith(tuple(f"{each}." for each in forbidden))
        and not str(path.relative_to(ROOT)).startswith(allowed)
    ]


def test_the_monolith_knows_of_services_only_in_its_seams() -> None:
    assert offenders("monolith", ("extracted",), allowed="monolith/seams/") == []
    assert offenders("monolith/seams", ("extracted.image",)) == []


def test_the_chassis_knows_no_service_and_services_know_no_monolith() -> None:
    assert offenders("extracted/chassis", ("extracted.image", "monolith")) == []
    assert offenders("extracted/image", ("monolith",)) == []


def test_migrations_import_no_application() -> None:
    assert offenders("migrations", ("monolith", "extracted", "strangler_proxy")) == []


@pytest.mark.parametrize("module", ["flask", "werkzeug", "boto3", "botocore", "sqlalchemy"])
def test_what_the_image_service_decides_needs_no_framework(module: str) -> None:
    assert module not in {
        name.partition(".")[0] for name in imported(ROOT / "extracted/image/service.py")
    }


def test_the_check_itself_sees_an_import() -> None:
    assert "extracted.chassis.client" in imported(ROOT / "monolith/seams/image.py")
    assert offenders("monolith", ("extracted",)) != []
