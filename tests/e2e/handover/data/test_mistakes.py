"""Plans, and what they and other commands say of mistakes in files, variables and servers."""

import json
import socket
import subprocess

import pytest

from tests.e2e.handover.data.blog import COMMAND, END_S, MOVES


def test_the_plan_shows_tables_and_what_would_be_made_and_changes_nothing(blog):
    before = blog.old.read_bytes(), blog.new.read_bytes()
    planned = blog.run("plan", "blog")
    assert planned.returncode == 0, planned.stderr
    for told in ("3,000", "title", "integer", "3 triggers on posts", "strangler_blog_checkpoint"):
        assert told in planned.stdout
    told = json.loads(blog.run("plan", "blog", "--json").stdout)
    assert [each["target"] for each in told["tables"]] == ["posts", "comments"]
    assert "table strangler_blog_checkpoint" in told["target_creates"]
    assert "3 triggers on comments" in told["target_creates"]
    for side in ("source_creates", "target_creates"):
        assert "table strangler_blog_fence and its triggers" in told[side]
    assert (blog.old.read_bytes(), blog.new.read_bytes()) == before
    assert not (blog.folder / ".strangler").exists()


def test_a_plan_that_is_refused_tells_every_reason_at_once(blog):
    blog.moves.write_text(MOVES.replace("comments", "coments") + "      - table: shops\n")
    refused = blog.run("plan", "blog")
    assert refused.returncode == 2
    assert "coments" in refused.stderr
    assert "shops" in refused.stderr
    told = json.loads(blog.run("plan", "blog", "--json").stdout)
    assert told["ok"] is False
    assert len(told["problems"]) >= 2
    started = blog.run("start", "blog")
    assert started.returncode == 2
    assert "shops" in started.stderr


@pytest.mark.parametrize(
    ("command", "environ", "told"),
    [
        ("plan", {"OLD_URL": ""}, "OLD_URL is not set"),
        ("start", {"OLD_URL": ""}, "OLD_URL is not set"),
        ("status", {"NEW_URL": ""}, "NEW_URL is not set"),
        ("verify", {"NEW_URL": "gopher://x"}, "NEW_URL: 'gopher:' is not the URL of a database"),
        ("remove", {"NEW_URL": "mysql://h:port/db"}, "NEW_URL does not hold a database's URL"),
    ],
)
def test_a_variable_without_a_usable_url_is_named(blog, command, environ, told):
    refused = blog.run(command, "blog", **environ)
    assert refused.returncode == 2
    assert told in refused.stderr


@pytest.mark.parametrize("command", ["plan", "start", "verify", "remove"])
def test_a_server_that_does_not_answer_is_told_without_its_password(blog, command):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://me:secret@127.0.0.1:{unused.getsockname()[1]}/blog"
        yes = ["--yes"] if command == "remove" else []
        refused = blog.run(command, "blog", *yes, NEW_URL=url)
        status = blog.run("status", "blog", NEW_URL=url)
    assert refused.returncode == 1
    assert "me@127.0.0.1" in refused.stderr
    assert "cannot be reached" in refused.stderr
    assert "secret" not in refused.stderr + status.stdout
    assert status.returncode == 1
    assert "cannot be reached" in status.stdout


def test_a_move_or_a_file_that_is_not_there_is_told(blog):
    other = blog.run("plan", "blgo")
    assert (other.returncode, "has no move 'blgo'; it has: blog" in other.stderr) == (2, True)
    blog.moves.write_text("moves: [{name: Blog}]\n")
    bad = blog.run("status", "blog")
    assert bad.returncode == 2
    assert "moves.yaml:1" in bad.stderr
    blog.moves.unlink()
    gone = blog.run("start", "blog")
    assert (gone.returncode, "cannot be read" in gone.stderr) == (2, True)


def test_a_damaged_ledger_is_not_acted_on(blog):
    assert blog.run("start", "blog", "--until-caught-up").returncode == 0
    ledger = blog.folder / ".strangler" / "blog.move.jsonl"
    ledger.write_text("nonsense\n" + ledger.read_text())
    for command in ("start", "status"):
        refused = blog.run(command, "blog")
        assert refused.returncode == 2
        assert "blog.move.jsonl:1 is damaged" in refused.stderr


COMMANDS = ["plan", "start", "status", "verify", "cutover", "rollback", "retire", "remove"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples_and_exit_codes(blog, command):
    helped = subprocess.run(
        [*COMMAND, *filter(None, [command]), "--help"],
        env=blog.environ,
        capture_output=True,
        text=True,
        timeout=END_S,
    )
    assert helped.returncode == 0
    assert "Exit codes" in helped.stdout
    if command:
        assert f"strangler data {command} posts" in " ".join(helped.stdout.split())
