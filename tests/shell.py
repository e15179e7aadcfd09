"""The shell that tests are run in may have read the example's `var/env`: they obey none of it.

A command without `-c` would find the example's site instead of the test's own.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from scripts import stack
from scripts.local_site.given import FOLLOWING, TAKEN, WITH


def names_of_a_site() -> set[str]:
    """Every variable that `scripts/up` keeps, follows or takes from the shell."""
    made = stack.environment(Path("/nowhere"), stack.Ports(), stack.new_secrets())
    return {*made, *TAKEN, *WITH, *FOLLOWING}


def forget_the_site(environ: MutableMapping[str, str]) -> None:
    """Take all of them away."""
    for name in names_of_a_site():
        environ.pop(name, None)
