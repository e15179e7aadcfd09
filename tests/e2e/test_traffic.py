"""`scripts/traffic` against the blog as `scripts/up` starts it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.local import ROOT, Site

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, BCRYPT_ROUNDS="4")
    try:
        started = site.up("--detach")
        assert started.returncode == 0, started.stdout
        yield site
    finally:
        site.up("--down")


def traffic(site: Site, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ("scripts/traffic", *arguments, site.url("")),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_ends_by_itself_or_at_ctrl_c_and_its_callers_fall_on_both_sides_of_a_canary(
    site: Site,
) -> None:
    with traffic(site, "--seconds", "3", "--json") as bounded:
        told, lines = bounded.communicate(timeout=90)
    assert bounded.returncode == 0, f"{told}{lines}"
    found = json.loads(told)
    assert found["failed"] == 0
    assert found["requests"] > 50
    assert {"register", "login", "upload", "payment-create", "posts-list"} <= {
        kind["kind"] for kind in found["kinds"]
    }

    # Half the callers are sent to a service that does not run: theirs alone fail.
    flipped = subprocess.run(
        ("strangler", "flip", "image", "--to", "50%", "-c", str(site.routes)),
        cwd=ROOT,
        env={**os.environ, **site.environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert flipped.returncode == 0, flipped.stderr
    with traffic(site, "--seconds", "600") as interrupted:
        assert interrupted.stdout is not None
        line = next(
            line for line in interrupted.stdout if " to go" in line and "0 failed" not in line
        )
        assert "requests" in line
        interrupted.send_signal(signal.SIGINT)
        table = interrupted.communicate(timeout=90)[0]
    assert interrupted.returncode == 1
    (row,) = [line for line in table.splitlines() if line.startswith("│ image ")]
    requests, failed = (int(cell) for cell in row.split("│")[2:4])
    assert 0 < failed < requests
    assert "status 502" in table
