"""What the commands of this checkout say of themselves, and what they do not take for an order."""

import subprocess

import pytest

from scripts.processes import ROOT


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """A script from within this checkout, to its end."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("given", ["--modell", "model", "-x"])
def test_check_does_not_pass_for_what_it_does_not_know(given: str) -> None:
    done = run("scripts/check", given)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"unknown argument {given}" in done.stderr
    assert "usage: scripts/check" in done.stderr


@pytest.mark.parametrize("given", ["--help", "-h"])
def test_check_says_what_it_checks_and_checks_nothing(given: str) -> None:
    done = run("scripts/check", given)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--model [--large]" in done.stdout
    assert "== ruff" not in done.stdout


@pytest.mark.parametrize("name", ["calls", "cascade", "mail", "names"])
def test_measurement_is_called_as_it_says(name: str) -> None:
    done = run("scripts/measure", name, "--help")
    assert done.stdout.startswith(f"usage: scripts/measure {name} [-h] [--json]")
