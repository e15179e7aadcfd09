"""moves.yaml is read whole, and every mistake in it is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler_proxy.config import ConfigError
from strangler_proxy.handover.databases.port import TableName
from strangler_proxy.handover.move import Expression, load_moves, parse_moves, table_name

GOOD = """\
moves:
  - name: posts
    source_env: BLOG_DATABASE_URL
    target_env: POSTS_DATABASE_URL
    routes: [create_post]
    tables:
      - table: posts
      - table: blog."my.comments"
        to: comments
        key: [id]
        columns:
          id: id
          words: {sql: length(body)}
"""


def problems(text: str, routes: list[str] | None = None) -> list[tuple[int | None, str]]:
    with pytest.raises(ConfigError) as told:
        parse_moves(text, "moves.yaml", routes)
    return [(problem.line, str(problem)) for problem in told.value.problems]


def test_a_good_file_is_read_into_values() -> None:
    move = parse_moves(GOOD, routes=["create_post"]).move("posts")
    assert move is not None
    posts, comments = move.tables
    assert (posts.source, posts.target) == (TableName(None, "posts"), TableName(None, "posts"))
    assert comments.source == TableName("blog", "my.comments")
    assert comments.target == TableName(None, "comments")
    assert comments.columns == {"id": "id", "words": Expression(sql="length(body)")}


def test_a_schema_is_not_taken_along_to_the_target() -> None:
    text = GOOD.replace("table: posts", "table: blog.posts")
    assert parse_moves(text).moves[0].tables[0].target == TableName(None, "posts")


def test_every_mistake_is_told_with_its_line() -> None:
    text = (
        GOOD.replace("name: posts", "name: My Posts")
        .replace("POSTS_DATABASE_URL", "postgresql://x/y")
        .replace("to: comments", "into: comments")
    )
    assert [line for line, _ in problems(text)] == [2, 4, 9]
    told = "\n".join(message for _, message in problems(text))
    assert "moves.yaml:2: moves[My Posts].name: 'My Posts' is not a move's name" in told
    assert "'into' is not a known key" in told


def test_routes_that_strangler_yaml_has_not_are_told() -> None:
    ((line, message),) = problems(GOOD, ["upload"])
    assert line == 5
    assert "'create_post' is not a route; there are: upload" in message


def test_two_moves_of_one_name_and_one_table_twice_are_told() -> None:
    again = GOOD + GOOD.partition("\n")[2]
    assert "used by an earlier move" in problems(again)[0][1]
    twice = GOOD.replace('table: blog."my.comments"', "table: posts").replace("to: comments", "")
    assert "posts stands twice among the source's tables" in problems(twice)[0][1]


@pytest.mark.parametrize("text", ["moves: [", "- a", "", "moves: 3", "moves: []", "others: []"])
def test_what_is_no_file_of_moves_is_refused(text: str) -> None:
    assert problems(text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_moves(tmp_path / "moves.yaml")
    (tmp_path / "moves.yaml").write_text(GOOD)
    assert len(load_moves(tmp_path / "moves.yaml").moves) == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("posts", TableName(None, "posts")),
        ("blog.posts", TableName("blog", "posts")),
        ('"my.posts"', TableName(None, "my.posts")),
        ('"a.b"."c.d"', TableName("a.b", "c.d")),
    ],
)
def test_a_tables_name_may_have_a_schema_and_quoted_dots(text: str, name: TableName) -> None:
    assert table_name(text) == name


@pytest.mark.parametrize("text", ["", "a.b.c", '"a', ".a", "a."])
def test_what_names_no_table_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a table"):
        table_name(text)


def with_proxies(*lines: str) -> str:
    listed = "".join(f"      - {line}\n" for line in lines)
    return GOOD.replace("    tables:\n", f"    proxies:\n{listed}    tables:\n")


def test_proxies_are_files_beside_moves_yaml_or_admin_addresses() -> None:
    text = with_proxies(
        "strangler.yaml",
        "/etc/strangler.yaml",
        "{admin: 'https://10.0.0.5:8001/'}",
        "{admin: 'http://[::1]:8001', token_env: OTHER_TOKEN}",
    )
    beside, absolute, plain, named = parse_moves(text, "there/moves.yaml").moves[0].proxies
    assert (beside.config, absolute.config) == (
        Path("there/strangler.yaml"),
        Path("/etc/strangler.yaml"),
    )
    assert (plain.admin, plain.token_env) == ("https://10.0.0.5:8001", "STRANGLER_ADMIN_TOKEN")
    assert (named.admin, named.token_env) == ("http://[::1]:8001", "OTHER_TOKEN")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{admin: 'ftp://10.0.0.5'}", "admin: 'ftp://10.0.0.5' is not an admin address"),
        ("{admin: 'http://10.0.0.5/status'}", "is not an admin address: write http://host:port"),
        ("{config: a.yaml, admin: 'http://a:1'}", "is the path of a strangler.yaml, or {admin"),
        ("{token_env: T}", "is the path of a strangler.yaml, or {admin"),
        ("{admin: 'http://a:1', token: s}", "'token' is not a known key"),
        ("{admin: 'http://a:1', token_env: 'a b'}", "is not the name of an environment variable"),
        ("7", "must hold keys and values"),
    ],
)
def test_a_place_that_is_none_is_told_with_its_line(line: str, words: str) -> None:
    ((number, told),) = problems(with_proxies("strangler.yaml", line))
    assert number == 8
    assert words in told


def test_a_proxy_that_is_listed_twice_would_be_held_twice() -> None:
    ((number, told),) = problems(with_proxies("{admin: 'http://a:1'}", "{admin: 'http://a:1/'}"))
    assert (number, "http://a:1 stands twice among the proxies" in told) == (2, True)


def test_writers_are_patterns_by_side_and_each_mistake_has_its_line() -> None:
    lines = ("writers:", '  control: ["blog@10.0.0.*"]', "  may_fail:", "    - cron@*", "tables:")
    text = GOOD.replace("    tables:\n", "".join(f"    {line}\n" for line in lines))
    known = parse_moves(text).moves[0].writers
    assert (known.control, known.candidate) == (("blog@10.0.0.*",), ())
    assert known.may_fail == ("cron@*",)
    wrong = text.replace("cron@*", "cron").replace("control:", "monolith:")
    (no_key, (line, told)) = sorted(problems(wrong))
    assert (no_key[0], line) == (7, 9)
    assert "'monolith' is not a known key" in no_key[1]
    assert "'cron' names no writer: write user@address, with * for any part of it" in told
    assert parse_moves(GOOD).moves[0].writers.control == ()
