"""A file is read whole or refused with every mistake in it, each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strangler_proxy.config import ConfigError, load, parse

GOOD = """\
listen: 127.0.0.1:8000
upstreams:
  monolith: {url: 'http://127.0.0.1:5000'}
  image: {url: 'http://127.0.0.1:3003', health: /health}
default: monolith
routes:
  - name: upload
    match: POST /upload
    control: monolith
    candidate: image
    serve: {candidate_percent: 5, sticky: 'header:authorization'}
    compare: {ignore: ['$.url']}
    timeout_s: 10
"""


def problems(text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    return [(p.line, p.where, p.message) for p in refused.value.problems]


def test_good_file_becomes_frozen_values() -> None:
    config = parse(GOOD)
    assert config.upstreams["image"].health == "/health"
    [route] = config.routes
    assert (route.methods, route.rule) == (frozenset({"POST"}), "/upload")
    assert (route.serve.candidate_percent, route.serve.sticky) == (5, "header:authorization")
    assert (route.compare.ignore, route.timeout_s) == (("$.url",), 10)
    with pytest.raises(ValueError, match="frozen"):
        route.name = "other"  # type: ignore[misc]


def test_every_mistake_is_told_at_once_with_its_line() -> None:
    text = """\
listen: nowhere
lisen: 127.0.0.1:8000
upstreams:
  monolith:
    url: http://127.0.0.1:5000/path
    timeout: 3
  bad name: {url: 'http://h:1'}
default: monolit
limits: {headers: 0, heders: 5}
trusted_proxies: [10.0.0.1/8]
routes:
  - name: one
    match: upload
    control: monolith
    serve: candidate
  - name: one
    match: GET /users/<ind:id>
    control: image
    candidate: nobody
    serve: sometimes
  - match: POST /x
    timeout_s: -1
    control: monolith
    shadow: {percent: 10}
  - name: four
    match: POST /x
    control: monolith
"""
    found = problems(text)
    lines = [line for line, _, _ in found]
    assert lines == sorted(lines)  # type: ignore[type-var]
    told = {where for _, where, _ in found}
    expected = {
        *("listen", "lisen", "upstreams.monolith.url", "upstreams.monolith.timeout", "default"),
        *("limits.headers", "limits.heders", "trusted_proxies[0]"),
        *("routes[one].name", "routes[one].match", "routes[one].control", "routes[one].candidate"),
        *("routes[one].serve", "routes[2].name", "routes[2].timeout_s", "routes[2].shadow.percent"),
        "routes[four].match",
    }
    missing = expected - told
    assert not missing, (missing, told)
    by_place = {where: (line, message) for line, where, message in found}
    assert by_place["default"] == (
        8,
        "'monolit' is not an upstream; the file has: monolith, bad name",
    )
    assert by_place["limits.heders"] == (9, "'heders' is not a known key")
    assert by_place["routes[four].match"][0] == 26


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("- a\n- b\n", 1),
        ("just words", 1),
        ("a: [1, 2\nb: 3\n", 2),
        ("a: 1\na: 2\n", 2),
        ("a: !!python/object:os.system x\n", None),
        ("a: *nothing\n", 1),
        ("\tlisten: x\n", 1),
    ],
)
def test_what_is_no_mapping_is_told_as_a_problem(text: str, line: int | None) -> None:
    found = problems(text)
    assert found
    if line is not None:
        assert found[0][0] == line


@pytest.mark.parametrize(
    "rule",
    [
        *("/<name>/<name>", "/<int:>", "/<", "/<nope:x>", "/<int:1x>"),
        "/<path:a><b",
        "/x/<string(minlength=5,maxlength=2):y>",
        "/<a>/<string(maxlength=99999999999999):y>",
        "/<string(length=99999999999999):y>/<b>",
    ],
)
def test_rule_that_flask_would_not_take_is_told_with_its_line(rule: str) -> None:
    found = problems(GOOD.replace("POST /upload", f'"POST {rule}"'))
    assert [line for line, _, _ in found] == [8]


@pytest.mark.parametrize(
    "url",
    [
        *("http://h:0", "http://a b", "http://a b:80", "http://h\\\\x", "http://:pw@h", "http://"),
        *("http://[fe80::1%25eth0]:80", "http://h:70000", "http://h:x", "ftp://h", "http://h/p"),
    ],
)
def test_url_that_is_no_host_and_port_is_refused(url: str) -> None:
    assert [where for _, where, _ in problems(GOOD.replace("http://127.0.0.1:3003", url))] == [
        "upstreams.image.url"
    ]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://my_service", ("my_service", 80)),
        ("https://[::1]", ("::1", 443)),
        ("https://H.test:8443/", ("h.test", 8443)),
    ],
)
def test_url_without_a_port_means_that_of_its_scheme(url: str, address: tuple[str, int]) -> None:
    config = parse(GOOD.replace("http://127.0.0.1:3003", url))
    assert [tuple(origin.address) for origin in config.upstreams["image"].origins] == [address]


def test_rule_that_an_earlier_route_always_takes_is_told() -> None:
    text = GOOD + "  - {name: again, match: 'GET,POST /upload', control: monolith}\n"
    [(line, where, message)] = problems(text)
    assert (line, where) == (14, "routes[again].match")
    assert "upload" in message


def test_routes_that_are_left_empty_are_none() -> None:
    assert parse(GOOD.partition("routes:")[0] + "routes:\n").routes == ()


@pytest.mark.parametrize("value", ["''", "0", "false", "{}", "{a: 1}", "word"])
def test_routes_that_are_no_list_are_refused(value: str) -> None:
    head = GOOD.partition("routes:")[0]
    assert {(line, where) for line, where, _ in problems(f"{head}routes: {value}")} == {
        (6, "routes")
    }


@pytest.mark.parametrize("value", ["[" * 400 + "]" * 400, "{a: " * 400 + "1" + "}" * 400])
def test_values_nested_beyond_measure_are_refused(value: str) -> None:
    text = GOOD.partition("routes:")[0] + f"routes: {value}"
    assert [message for _, _, message in problems(text)] == ["is nested too deeply"]


def test_missing_and_unreadable_files_are_problems_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    odd = tmp_path / "odd.yaml"
    odd.write_bytes(b"\xff\xfe\0listen")
    with pytest.raises(ConfigError):
        load(odd)


@settings(max_examples=300, deadline=None, database=None)
@given(
    place=st.integers(0, len(GOOD)),
    gone=st.integers(0, 30),
    new=st.text(" \n:-{}[],'\"#&*!|>%@<>/\tabc01\0\u00e9", max_size=8),
)
def test_any_damage_to_a_file_is_read_or_refused_but_never_raised(
    place: int, gone: int, new: str
) -> None:
    told: list[object] = ["nothing wrong"]
    try:
        parse(GOOD[:place] + new + GOOD[place + gone :])
    except ConfigError as refused:
        told = refused.problems
    assert told
