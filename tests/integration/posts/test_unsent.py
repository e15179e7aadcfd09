"""The undo of a step does not wait for events that a service had no time to send."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import moving, step_3_posts, step_4_payment
from scripts.processes import ROOT
from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.parts import FinishFirst
from strangler_proxy.steps.step import Step
from tests.declared_site import declared_site

WAITS = (
    "INSERT INTO outbox (event_id, type, order_key, body, mandatory, recorded_ms)"
    " VALUES ('e', 'post.created', 'k', '{}', 0, 1)"
)


@pytest.mark.parametrize("name", ["posts", "payment"])
def test_events_of_a_service_that_has_died_are_sent_all_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = declared_site(tmp_path, monkeypatch)
    url = os.environ[f"{name.upper()}_DATABASE_URL"]
    subprocess.run(
        moving.schema_command(name, url),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        check=True,
        capture_output=True,
        timeout=60,
    )
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute(WAITS)
    step: Step
    if name == "posts":
        step = step_3_posts.declare(step_3_posts.CanaryOptions(), site)
    else:
        step = step_4_payment.declare(step_4_payment.Options(), site)
    (part,) = [part for part in step.parts if isinstance(part, FinishFirst)]
    assert part.left() == "1 wait to be sent"
    replace(part, alone_s=0.2).undo({}, RealPace())
    assert part.left() is None
    assert part.helper is not None
    assert part.helper.pid() is None
