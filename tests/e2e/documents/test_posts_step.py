"""Step 3 with posts in MongoDB: there, back and there again, under live traffic, names included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pymongo import MongoClient

from scripts.walking.steps import STEPS, run_step
from tests.e2e.documents.writers import Blog, traffic
from tests.e2e.local import Site
from tests.mongodb.wire import wire_server
from tests.steps_done import take_for_done

(POSTS,) = (script for script in STEPS if script.name == "posts")
STEP = replace(POSTS, rehearsal=(*POSTS.rehearsal, "--percents", "50"))
WATCH_S = 1.0
SEEDED = 15


@contextmanager
def up(folder: Path, database: str) -> Iterator[Site]:
    """The blog behind its proxy, whose posts are to move into this database."""
    site = Site(folder, POSTS_DATABASE_URL=database, BCRYPT_ROUNDS="4", LOGIN_LIMIT="6000/minute")
    take_for_done(site.run_dir, "image", "auth")
    try:
        started = site.up("--detach")
        assert started.returncode == 0, started.stdout
        told_done(site, "image", "auth")
        yield site
    finally:
        site.up("--down")


def told_done(site: Site, *steps: str) -> None:
    """Have the ledgers say that these steps are done, so that this one's turn has come.

    Pictures and users stay with the monolith here: so no event tells a name, and all are asked for.
    """
    site.run_dir.mkdir(exist_ok=True)
    for name in steps:
        kinds = ({"kind": "began", "options": {}}, {"kind": "finished"})
        lines = (json.dumps({"v": 1, "at": "2026-01-01T00:00:00Z", **kind}) for kind in kinds)
        (site.run_dir / f"{name}.ledger.jsonl").write_text("".join(f"{line}\n" for line in lines))


def errors(site: Site) -> str:
    """What either side has logged about requests that failed."""
    logs = (site.run_dir / "posts.log", site.data / "log" / "monolith.log")
    lines = [line for log in logs if log.exists() for line in log.read_text("utf-8").splitlines()]
    return "\n".join(line[:3000] for line in lines if '"level": "error"' in line)


def step(site: Site, way: str, blog: Blog | None = None) -> tuple[int, str]:
    """The step's exit code and its last lines; while people use the blog, if there is one."""
    log = site.data / "log" / "posts.log"
    if blog is None:
        run = run_step(STEP, way, WATCH_S, site.routes, log, site.environ, lambda _: None)
    else:
        try:
            with traffic(blog) as check:
                run = run_step(
                    STEP, way, WATCH_S, site.routes, log, site.environ, lambda _: check()
                )
        except AssertionError as error:
            error.add_note(log.read_text("utf-8")[-2000:] + errors(site))
            raise
    return run.exit_code, log.read_text("utf-8")


@pytest.mark.services
@pytest.mark.timeout(600)
def test_posts_move_into_documents_and_back_with_all_that_was_written_and_the_names(
    document_database: str, tmp_path: Path
) -> None:
    with (
        closing(MongoClient(document_database)) as client,
        up(tmp_path, document_database) as site,
    ):
        blog = Blog(site.url(""))
        ann = blog.join()
        for _ in range(SEEDED):
            blog.write(ann)

        code, told = step(site, "--execute", blog)
        assert code == 0, told
        kept = client.get_default_database()["posts"]
        assert kept.count_documents({}) == len(blog.posts)
        blog.write(ann)
        assert kept.find_one({"_id": max(blog.posts)}) is not None
        assert blog.wrong(ann) == []

        code, told = step(site, "--undo", blog)
        assert code == 0, told
        assert blog.wrong(ann) == []
        blog.rename(ann, "Anna")  # nobody listens meanwhile

        code, told = step(site, "--execute", blog)
        assert code == 0, told
        assert kept.count_documents({}) == len(blog.posts)
        assert blog.wrong(ann) == []


@pytest.mark.timeout(240)
def test_a_mongodb_that_no_move_could_leave_is_refused_before_anything_is_copied(
    tmp_path: Path,
) -> None:
    with wire_server(tmp_path) as database, up(tmp_path, database) as site:
        code, told = step(site, "--execute")
        assert code == 1
        assert "is no replica set" in told
        with closing(MongoClient(database)) as client:
            assert client.get_default_database().list_collection_names() == []
