"""A first copy that is killed goes on from its checkpoint, whenever that was."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from strangler_proxy.handover.databases import open_database
from tests.integration.handover.backfill.copying import Both, Side, both, checkpoint

ROWS = 20_000
KILLS = 20
RUN = "from tests.integration.handover.backfill.test_killed import main; main()"


def main() -> None:
    """A mover in a process of its own, for those that are killed."""
    source, target = (open_database(os.environ[name]) for name in ("SOURCE", "TARGET"))
    two = Both.__new__(Both)
    two.later = []
    with closing(source.session()) as first, closing(target.session()) as second:
        two.source, two.target = (Side.__new__(Side) for _ in range(2))
        two.source.session, two.target.session = first, second
        two.source.database, two.target.database = source, target
        pairs = two.pairs("posts")
    two.copy(
        pairs,
        lambda _: (sys.stdout.write("page\n"), sys.stdout.flush()),
        rows_per_s=15_000.0,
        budget_s=0.01,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def test_killed_at_any_moment_it_goes_on_without_loss_or_duplicates(kind, tmp_path) -> None:
    with both(kind, kind, tmp_path) as two:
        two.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
        (pair,) = two.pairs("posts")
        two.source.put(pair.source, [(n, f"post {n}" * 10) for n in range(1, ROWS + 1)])
        environment = {**os.environ, "SOURCE": two.source.url, "TARGET": two.target.url}
        rng, killed = random.Random(11), 0
        while killed < KILLS:
            if not run_and_kill(environment, rng.uniform(0, 0.08)):
                break
            killed += 1
            assert checkpoint(two) == count(two)
        assert killed == KILLS
        assert 0 < count(two) < ROWS
        two.copy([pair])
        two.assert_equal(pair)
        assert checkpoint(two) == count(two) == ROWS


def count(two: Both) -> int:
    return two.target.session.scalar("SELECT count(*) FROM posts")


def run_and_kill(environment: dict, after_s: float) -> bool:
    """Run a mover, kill it so long after its first page; False when it had ended by itself."""
    command = [sys.executable, "-c", RUN]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as mover:
        assert mover.stdout
        mover.stdout.readline()
        time.sleep(after_s)  # what is tested: any moment, not one that is waited for
        mover.send_signal(signal.SIGKILL)
        mover.stdout.read()
    return mover.returncode == -signal.SIGKILL
