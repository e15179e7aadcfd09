"""Who may import whom, read from the sources: the worked example's side of the design."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVICES = sorted(
    path.parent.name
    for path in ROOT.glob("extracted/*/__init__.py")
    if path.parent.name != "chassis"
)


def others_than(service: str = "-") -> tuple[str, ...]:
    """The packages of all services but this one."""
    return tuple(f"extracted.{name}" for name in SERVICES if name != service)


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
    assert offenders("monolith/seams", others_than()) == []


def test_the_chassis_knows_no_service_and_no_monolith() -> None:
    assert offenders("extracted/chassis", (*others_than(), "monolith")) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_knows_neither_the_monolith_nor_another_service(service: str) -> None:
    assert offenders(f"extracted/{service}", (*others_than(service), "monolith")) == []


def test_migrations_import_no_application() -> None:
    assert offenders("migrations", ("monolith", "extracted", "strangler_proxy")) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("extracted/*/service.py")), ids=str)
def test_what_a_service_decides_needs_no_framework(path: Path) -> None:
    used = {name.partition(".")[0] for name in imported(path)}
    assert used & {"flask", "werkzeug", "boto3", "botocore", "sqlalchemy", "pymongo"} == set()


@pytest.mark.parametrize(
    ("monoliths", "services"),
    [
        ("monolith/draining.py", "extracted/chassis/draining.py"),
        ("monolith/places.py", "extracted/chassis/places.py"),
        ("monolith/bounds.py", "extracted/chassis/bounds.py"),
        ("monolith/bounded_psycopg.py", "extracted/chassis/bounded_psycopg.py"),
        ("monolith/images/scans.py", "extracted/image/scans.py"),
    ],
)
def test_what_the_monolith_has_a_copy_of_is_the_same_but_for_where_it_stands(
    monoliths: str, services: str
) -> None:
    """It may not import it, and what is mended in one must be mended in the other."""
    copied = (ROOT / monoliths).read_text("utf-8")
    assert copied.replace("from monolith.", "from extracted.chassis.") == (
        ROOT / services
    ).read_text("utf-8")


def test_the_check_itself_sees_an_import() -> None:
    assert "extracted.chassis.client" in imported(ROOT / "monolith/seams/image.py")
    assert offenders("monolith", ("extracted",)) != []
