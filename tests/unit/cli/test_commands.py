"""The commands that need no proxy, and what the others say without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from strangler_proxy.admin.audit import AuditLog
from strangler_proxy.admin.changes import Change
from strangler_proxy.cli import app

TEXT = """\
upstreams:
  old: {url: http://127.0.0.1:1}
  new: {url: http://127.0.0.1:2, canary: {percent: 10}}
tokens:
  blog: {secret_env: JWT_SECRET}
default: old
routes:
  - {name: moving, match: POST /m, control: old, candidate: new, serve: {candidate_percent: 5}}
  - {name: follows, match: /f, control: old, candidate: new, serve: canary}
  - {name: guarded, match: /g, control: old, token: blog, rate_limit: 5/minute}
  - {name: page, match: GET /p, compose: {parts: {post: {get: /a}, author: {get: /b}}}}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "strangler.yaml"
    path.write_text(TEXT)
    return path


def strangler(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "-c", str(path)])


def test_routes_show_who_serves_and_under_what_conditions(path: Path) -> None:
    lines = {
        line.split("│")[1].strip(): line
        for line in strangler(path, "routes").stdout.splitlines()
        if line.startswith("│")
    }
    assert "5% new" in lines["moving"]
    assert "10% new, its canary" in lines["follows"]
    assert "token blog; 5/minute by client" in lines["guarded"]
    assert "composed of post, author" in lines["page"]
    assert "old" in lines["(default)"]


def test_routes_for_programs_have_the_percent_in_force(path: Path) -> None:
    rows = json.loads(strangler(path, "routes", "--json").stdout)
    assert {row["name"]: row["percent"] for row in rows} == {
        "moving": 5,
        "follows": 10,
        "guarded": 0,
        "page": 0,
    }
    assert rows[2]["rate_limits"] == ["5/minute by client"]


@pytest.mark.parametrize(
    "command",
    [
        ("flip", "moving", "--to", "canary"),
        ("flip", "--upstream", "new", "--to", "10%"),
        ("status",),
        ("breaker", "new", "open"),
        ("drain", "new", "127.0.0.1:2", "--undo"),
    ],
)
def test_without_a_proxy_the_commands_say_so_and_change_nothing(
    path: Path, command: tuple[str, ...]
) -> None:
    done = strangler(path, *command)
    assert done.exit_code == 3
    assert "strangler serve" in done.stderr
    assert path.read_text() == TEXT


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("flip", "moving", "--to", "101%"), "0% to 100%"),
        (("flip", "moving", "--to", "²%"), "0% to 100%"),
        (("flip", "moving", "--upstream", "new", "--to", "5%"), "not both"),
        (("flip", "--to", "5%"), "name routes"),
        (("flip", "--upstream", "new", "--to", "candidate"), "percent"),
        (("breaker", "new", "ajar"), "ajar"),
    ],
)
def test_wrong_usage_is_told_before_a_proxy_is_looked_for(
    path: Path, command: tuple[str, ...], words: str
) -> None:
    done = strangler(path, *command)
    assert done.exit_code == 2
    assert words in done.stderr


def test_audit_shows_the_last_changes_a_line_each(path: Path) -> None:
    log = AuditLog(path.parent / ".strangler" / "audit.jsonl")
    for percent in range(5, 30, 5):
        log.record("kim (uid 1000)", Change("routes.moving.serve", "control", f"{percent}%"))
    log.record("file", Change("routes.page", {"match": "\x1b[2J"}, None), note="not done: no")
    done = strangler(path, "audit", "-n", "2")
    first, second = done.stdout.splitlines()
    assert first.endswith("kim (uid 1000)  routes.moving.serve: control -> 25%")
    assert second.endswith('routes.page: {"match": "\\u001b[2J"} -> nothing  (not done: no)')
    assert len(json.loads(strangler(path, "audit", "--json").stdout)) == 6


def test_audit_of_nothing_is_empty_and_of_what_cannot_be_read_a_failure(path: Path) -> None:
    empty = strangler(path, "audit")
    assert (empty.exit_code, empty.stdout) == (0, "")
    (path.parent / ".strangler" / "audit.jsonl").mkdir(parents=True)
    unreadable = strangler(path, "audit")
    assert unreadable.exit_code == 1
    assert "cannot be read" in unreadable.stderr


@pytest.mark.parametrize(
    "command",
    ["serve", "init", "check", "schema", "routes", "flip", "status", "breaker", "drain", "audit"],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    told = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    assert "Example" in told.stdout
