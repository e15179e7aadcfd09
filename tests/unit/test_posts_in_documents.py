"""What step 3 and the last step are where POSTS_DATABASE_URL names a MongoDB."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import backlog, moved, moving, step_3_posts, step_5_retire
from scripts.processes import ROOT
from strangler_proxy.config import load
from strangler_proxy.handover.ledger import ledger_path
from strangler_proxy.handover.move import load_moves
from strangler_proxy.steps.parts import StartProcess
from strangler_proxy.steps.script import Site, StepError
from tests.declared_site import declared_site
from tests.steps_done import take_for_done

MONGODB = "mongodb://ann:secret@127.0.0.1:10/posts"
SCRIPT = "scripts/step_3_posts.py"
# What `import` finds of a package that is not installed.
WITHOUT_DRIVER = (
    "import runpy, sys; sys.modules['pymongo'] = None; "
    f"sys.argv = ['{SCRIPT}', *sys.argv[1:]]; runpy.run_path('{SCRIPT}', run_name='__main__')"
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    for name in ("moves.yaml", "moves_mongodb.yaml"):
        shutil.copy(ROOT / "migrations" / name, tmp_path)
    moves = str(tmp_path / "moves.yaml")
    return declared_site(tmp_path, monkeypatch, POSTS_DATABASE_URL=MONGODB, STRANGLER_MOVES=moves)


def declared(site: Site) -> list[str]:
    """The names of the stages."""
    step = step_3_posts.declare(step_3_posts.CanaryOptions(), site)
    return [stage.name for stage in step.stages]


def test_names_are_asked_for_behind_the_copy_and_before_anything_is_compared_or_flipped(
    site: Site,
) -> None:
    stages = declared(site)
    at = stages.index("copy")
    assert stages[at : at + 5] == ["copy", "names", "new names", "leftovers", "answers"]


def test_nothing_of_it_is_done_for_a_database_of_rows(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTS_DATABASE_URL", "sqlite:////tmp/posts.db")
    assert not {"names", "new names"} & set(declared(site))
    assert moving.move_of("posts", site).moves.name == "moves.yaml"


def test_the_move_into_documents_is_taken_and_has_the_ledger_of_the_other(site: Site) -> None:
    move = moving.move_of("posts", site)
    assert move.moves == moving.moves_file().with_name("moves_mongodb.yaml")
    assert ledger_path(move.moves, "posts") == ledger_path(moving.moves_file(), "posts")
    assert moving.move_of("auth", site).moves == moving.moves_file()


def test_a_file_of_moves_that_is_for_documents_itself_needs_none_beside_it(site: Site) -> None:
    moving.moves_file().with_name("moves_mongodb.yaml").unlink()
    assert moving.move_of("posts", site).moves == moving.moves_file()


def test_the_two_moves_of_posts_differ_in_nothing_but_expressions() -> None:
    routes = [route.name for route in load(ROOT / "strangler.yaml").routes]
    found = [
        load_moves(ROOT / "migrations" / name, routes).move("posts")
        for name in ("moves.yaml", "moves_mongodb.yaml")
    ]
    rows, documents = (
        each.model_dump(exclude={"tables": {"__all__": {"columns"}}}) for each in found if each
    )
    assert documents == rows
    assert found[1] is not None
    assert [table.columns for table in found[1].tables] == [None, None]


def test_after_a_restart_new_authors_are_asked_for_again(site: Site) -> None:
    standing = moved.Standing(carried=frozenset({"posts"}), served=frozenset({"posts"}))
    needed = [part.service for part in moved.needed(moved.programs(site), standing)]
    assert needed == ["posts", "posts-consumer", "email-worker", "posts-mover", "posts-names"]
    assert moved.needed(moved.programs(site), moved.Standing()) == ()


def test_who_runs_the_service_elsewhere_runs_it_here_beside_the_mover(site: Site) -> None:
    options = step_3_posts.CanaryOptions(external="http://127.0.0.1:4")
    parts = step_3_posts.declare(options, site).parts
    started = [part.service for part in parts if isinstance(part, StartProcess)]
    assert started == ["posts-mover", "posts-names"]


def test_the_last_step_reads_its_ledger_and_its_outbox(site: Site) -> None:
    step = step_5_retire.declare(step_5_retire.Options(), site)
    assert "posts rows" in [stage.name for stage in step.stages]
    told = backlog.unsent("mongodb://127.0.0.1:10/posts?timeoutMS=100")()
    assert told is not None
    assert "no MongoDB can be used at 127.0.0.1:10" in told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mongodb://127.0.0.1:10", "has no database's name"),
        ("mongodb://127.0.0.1:10/", "has no database's name"),
        ("mysql://root@127.0.0.1/posts", "is of another kind"),
    ],
)
def test_an_address_that_posts_cannot_be_kept_at_is_told_before_anything_is_done(
    site: Site, monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    monkeypatch.setenv("POSTS_DATABASE_URL", url)
    with pytest.raises(StepError, match=f"POSTS_DATABASE_URL {told}"):
        declared(site)


def test_a_driver_that_is_not_installed_is_told_before_anything_is_done(site: Site) -> None:
    take_for_done(site.run_dir, "image", "auth")
    done = subprocess.run(
        (sys.executable, "-c", WITHOUT_DRIVER, "--execute", "-c", str(site.config_path)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "driver is not installed: pip install 'strangler-proxy[mongodb]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_no_plan_shows_the_password_of_the_database(site: Site) -> None:
    step = step_3_posts.declare(step_3_posts.CanaryOptions(), site)
    assert "secret" not in " ".join(part.forward for part in step.parts)
