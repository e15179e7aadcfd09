"""Steps that are taken for done, for tests of those that come after them."""

from __future__ import annotations

from pathlib import Path

from strangler_proxy.steps.ledger import open_ledger
from strangler_proxy.steps.state import Kind


def take_for_done(run_dir: Path, *steps: str) -> None:
    """Write ledgers that say so."""
    for step in steps:
        with open_ledger(run_dir / f"{step}.ledger.jsonl", "execute") as ledger:
            ledger.record(Kind.BEGAN, options={})
            ledger.record(Kind.FINISHED)
