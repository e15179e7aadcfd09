"""Tests act on what is theirs, whatever site the shell that they are run in is set up for."""

import json
import os
import subprocess
import sys

from scripts.processes import ROOT
from tests.shell import names_of_a_site

SHOW = "import json, os, tests.conftest; print(json.dumps(dict(os.environ)))"
OWN = ("STRANGLER_PYTHON", "STRANGLER_VENV", "STRANGLER_CONSUL", "TEST_POSTGRES_URL")


def test_tests_obey_nothing_that_a_shell_has_of_the_examples_site() -> None:
    names = names_of_a_site()
    assert {"STRANGLER_CONFIG", "STRANGLER_MOVES", "STRANGLER_LEDGERS"} <= names
    assert {"STRANGLER_ADMIN_TOKEN", "DATABASE_URL", "BROKER_URL"} <= names
    given = dict.fromkeys((*names, *OWN), "elsewhere")

    shown = subprocess.run(
        [sys.executable, "-c", SHOW],
        env={**os.environ, **given},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    seen = json.loads(shown.stdout)
    assert [name for name in sorted(names) if name in seen] == []
    assert [name for name in OWN if seen[name] != "elsewhere"] == []
