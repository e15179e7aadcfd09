"""Every script makes the environment that it needs, and makes no other checkout's its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.processes import ROOT

# Stands in for Python: makes no environment but its own copy, and notes what would be installed.
PYTHON = """\
#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip") for last; do :; done; echo "$last" >>"$INSTALLED" ;;
"--version ") echo "Python 3.12.0" ;;
esac
"""


class Checkouts:
    """Checkouts side by side; `run` starts a script of one in an environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = folder / "python3"
        self._python.write_text(PYTHON)
        self._python.chmod(0o755)

    def make(self, name: str) -> Path:
        checkout = self._folder / name
        (checkout / "scripts" / "lib").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "lib" / "env.sh", checkout / "scripts" / "lib")
        (checkout / "pyproject.toml").write_text("[project]\n")
        return checkout

    def run(self, checkout: Path, venv: Path | None) -> subprocess.CompletedProcess[str]:
        given = {} if venv is None else {"STRANGLER_VENV": str(venv)}
        inherited = {name: value for name, value in os.environ.items() if "STRANGLER" not in name}
        own = {"STRANGLER_PYTHON": str(self._python), "INSTALLED": str(self._folder / "installed")}
        return subprocess.run(
            ("bash", "-c", f". '{checkout}/scripts/lib/env.sh' && echo \"$PYTHON\""),
            env={**inherited, **own, **given},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def installed(self) -> list[str]:
        return (self._folder / "installed").read_text().splitlines()


@pytest.fixture
def checkouts(tmp_path: Path) -> Checkouts:
    return Checkouts(tmp_path)


def test_an_environment_is_made_once_beside_the_checkout(checkouts: Checkouts) -> None:
    one = checkouts.make("one")
    for _ in range(2):
        made = checkouts.run(one, None)
        assert made.returncode == 0, made.stderr
        assert made.stdout == f"{one}/.venv/bin/python\n"
    assert checkouts.installed == [f"{one}[blog,dev]"]


def test_an_environment_is_not_taken_over_by_a_second_checkout(
    checkouts: Checkouts, tmp_path: Path
) -> None:
    one, two = checkouts.make("one"), checkouts.make("two")
    shared = tmp_path / "somewhere" / "venv"
    assert checkouts.run(one, shared).returncode == 0
    for _ in range(2):
        refused = checkouts.run(two, shared)
        assert refused.returncode == 2
        assert refused.stdout == ""
        (sentence,) = refused.stderr.splitlines()
        assert f"{shared} is the environment of {one}; set STRANGLER_VENV" in sentence
        assert checkouts.run(one, shared).returncode == 0
    assert checkouts.installed == [f"{one}[blog,dev]"]


def test_an_environment_whose_checkout_is_gone_is_made_anew(
    checkouts: Checkouts, tmp_path: Path
) -> None:
    one, two = checkouts.make("one"), checkouts.make("two")
    assert checkouts.run(one, tmp_path / "venv").returncode == 0
    shutil.rmtree(one)
    assert checkouts.run(two, tmp_path / "venv").returncode == 0
    assert checkouts.installed[-1] == f"{two}[blog,dev]"
