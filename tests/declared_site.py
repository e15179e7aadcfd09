"""The blog's site as its steps are declared on: nothing of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import stack
from scripts.processes import ROOT
from strangler_proxy.config import load
from strangler_proxy.steps.script import Site

PORTS = stack.Ports(1, 2, 3, 4, 5, 6, 7, 8, 9)


def declared_site(folder: Path, patched: pytest.MonkeyPatch, **variables: str) -> Site:
    """Its routes and its environment, which is also that of this process."""
    made = stack.environment(folder, PORTS, stack.new_secrets())
    for name, value in {**made, **variables}.items():
        patched.setenv(name, value)
    routes = folder / "strangler.yaml"
    stack.write_routes(ROOT / "strangler.yaml", routes, PORTS)
    return Site(load(routes), routes, folder / ".strangler")
