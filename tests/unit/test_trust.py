"""A program that a step starts is given the secrets that it reads, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import moved, stack, trust
from strangler_proxy.steps.parts import StartProcess
from tests.declared_site import PORTS, declared_site
from tests.settings import SERVICES, WORKERS, Noting

READERS = {**SERVICES, **WORKERS}


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, StartProcess]:
    programs = moved.programs(declared_site(tmp_path, monkeypatch))
    every = (part for of_one in programs.values() for part in of_one)
    return {part.service: part for part in every if not part.service.endswith(moved.MOVER)}


def test_every_program_that_the_steps_start_is_known(started: dict[str, StartProcess]) -> None:
    assert set(started) == set(READERS)
    for name, part in started.items():
        assert part.withheld == trust.kept_from(name)


@pytest.mark.parametrize("name", READERS)
def test_a_program_starts_with_what_it_is_given_and_has_a_use_for_each_secret(
    name: str, started: dict[str, StartProcess], tmp_path: Path
) -> None:
    made = stack.environment(tmp_path, PORTS, stack.new_secrets())
    given = {key: text for key, text in made.items() if key not in trust.kept_from(name)}
    environ = Noting({**given, **started[name].environment})
    READERS[name](environ)
    with_no_use = trust.GIVEN[name] - environ.asked - {"AWS_SESSION_TOKEN"}  # boto3 reads that one
    assert with_no_use == set()
    assert environ.asked & trust.kept_from(name) <= {"DATABASE_URL"}  # the email worker's other way


def test_no_secret_of_the_site_is_forgotten(tmp_path: Path) -> None:
    assert set(stack.new_secrets()) - trust.SECRETS == set()
    addresses = {name for name in stack.environment(tmp_path, PORTS, {}) if "DATABASE" in name}
    assert addresses <= trust.SECRETS
