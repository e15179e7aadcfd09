"""An edit changes the serve lines it was asked to change, and nothing else in the file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strangler_proxy.config import (
    Canary,
    ConfigError,
    Serve,
    edit_canary,
    edit_default,
    edit_serve,
    load,
    prepare_serve,
)
from strangler_proxy.shared_files import folder_locked

NAMES = ("first", "second", "third", "fourth")
TEXT = """\
# The head of the file
listen:   127.0.0.1:8000   # odd spacing

upstreams:
    old: {url: "http://127.0.0.1:5000"}
    new:
        url: 'http://127.0.0.1:3003'   # quoted
default: old
routes:
  # A comment before the first.
  - name: first
    match: POST /first
    control: old
    candidate: new
    serve: control                  # control | candidate | {candidate_percent: 5}
    timeout_s: 10

  - {name: second, match: /second, control: old, candidate: new}   # in one line
  - name: "third"
    match: >-
      GET /third
    control: old
    candidate: new   # no serve yet
    compare:
      ignore: [ "$.a",   '$.b' ]
  - name: fourth
    match: GET /fourth
    control: old
    candidate: new
    serve: {candidate_percent: 5, sticky: "header:x-user"}   # five
# The end.
"""
LONG = f"# {'never folded ' * 30}\n"
SERVES = st.builds(
    lambda percent, sticky: Serve(candidate_percent=percent, sticky=sticky),
    st.sampled_from([0, 1, 50, 99, 100]),
    st.sampled_from(["client", "header:authorization", "cookie:id"]),
)


@settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(edits=st.lists(st.dictionaries(st.sampled_from(NAMES), SERVES, min_size=1), max_size=4))
def test_edits_set_what_was_asked_and_keep_every_comment(
    tmp_path: Path, edits: list[dict[str, Serve]]
) -> None:
    path = tmp_path / "strangler.yaml"
    path.write_text(LONG + TEXT)
    wanted = {route.name: route.serve for route in load(path).routes}
    for changes in edits:
        edit_serve(path, changes)
        wanted.update(changes)
    served = {route.name: route.serve.candidate_percent for route in load(path).routes}
    assert served == {name: serve.candidate_percent for name, serve in wanted.items()}
    comments = [line.partition("#")[2] for line in (LONG + TEXT).splitlines() if "#" in line]
    kept = [line.partition("#")[2] for line in path.read_text().splitlines() if "#" in line]
    assert kept == comments


def test_only_the_line_asked_for_differs_in_the_projects_own_file(tmp_path: Path) -> None:
    source = Path("strangler.yaml").read_text()
    path = tmp_path / "strangler.yaml"
    path.write_text(source)
    edit_serve(path, {"upload": Serve(candidate_percent=25)})
    lines = list(zip(source.splitlines(), path.read_text().splitlines(), strict=True))
    changed = [(old, new) for old, new in lines if old != new]
    assert [new for _, new in changed] == ["    serve: {candidate_percent: 25, sticky: client}"]
    edit_serve(path, {"upload": Serve(candidate_percent=0)})
    assert path.read_text() == source


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere", "no route 'nowhere'"), ("alone", "no candidate")]
)
def test_refused_edit_leaves_the_file_as_it_was(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / "strangler.yaml"
    text = TEXT.replace("# The end.", "  - {name: alone, match: /alone, control: old}")
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        edit_serve(path, {"first": Serve(candidate_percent=5), name: Serve(candidate_percent=5)})
    assert path.read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["strangler.yaml"]


def test_mode_and_link_of_the_file_are_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "strangler.yaml"
    real.write_text(TEXT)
    real.chmod(0o640)
    link.symlink_to(real)
    edit_serve(link, {"first": Serve(candidate_percent=100)})
    assert link.is_symlink()
    assert os.stat(real).st_mode & 0o777 == 0o640
    assert "serve: candidate " in real.read_text()


def test_edits_at_the_same_time_are_all_kept_and_no_reader_sees_a_half(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    path.write_text(TEXT)
    writers = [
        threading.Thread(target=lambda n=n: edit_serve(path, {n: Serve(candidate_percent=50)}))
        for n in NAMES
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        load(path)
    for writer in writers:
        writer.join()
    assert {route.serve.candidate_percent for route in load(path).routes} == {50}


def test_an_edit_that_somebody_keeps_from_its_folder_is_given_up_in_time(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    path.write_text(TEXT)
    prepared = prepare_serve(path, {"first": Serve(candidate_percent=100)})
    with folder_locked(tmp_path):
        with pytest.raises(ConfigError, match=rf"cannot be changed: .+pid {os.getpid()} "):
            edit_serve(path, {"first": Serve(candidate_percent=100)}, within_s=0.05)
        with pytest.raises(ConfigError, match="cannot be changed"):
            prepared.apply(within_s=0.05)
    assert path.read_text() == TEXT
    prepared.apply()
    assert "serve: candidate " in path.read_text()


def test_what_callers_are_known_by_survives_a_flip_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    path.write_text(TEXT)
    for percent in (5, 100, 0):
        edit_serve(path, {"first": Serve(candidate_percent=percent, sticky="cookie:id")})
        route = load(path).route("first")
        assert route is not None
        assert route.serve == Serve(candidate_percent=percent, sticky="cookie:id")


def test_the_default_leads_elsewhere_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    path.write_text(TEXT)
    edit = edit_default(path, {"default": "new"})
    before, after = edit.before, edit.after
    assert (before.default, after.default) == ("old", "new")
    assert after.model_copy(update={"default": "old"}) == before
    assert "# A comment before the first." in path.read_text()
    with pytest.raises(ConfigError, match="there is no upstream 'nowhere'; there are: old, new"):
        edit_default(path, {"default": "nowhere"})


SPARSE = """\
upstreams:
  old: {url: "http://127.0.0.1:1"}
  new:
    url: http://127.0.0.1:2   # the service
    # its breaker
    breaker:
      failures: 5

  # about the third
  third: {url: "http://127.0.0.1:3"}
default: old
routes:
  - name: first
    match: /first
    control: old
    candidate: new   # soon
    # patience
    timeout_s: 5

  # about the second
  - name: second
    match: /second
    control: old
    candidate: new

  # about the end
"""


def test_new_key_goes_above_the_comments_about_what_follows(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    path.write_text(SPARSE)
    edit_serve(path, {name: Serve(candidate_percent=100) for name in ("first", "second")})
    edit_canary(path, {"new": Canary(percent=5)})
    new = ("    serve: candidate\n", "    canary: {percent: 5, sticky: client}\n")
    lines = path.read_text().splitlines(keepends=True)
    assert "".join(line for line in lines if line not in new) == SPARSE
    above = [lines[number - 1].strip() for number, line in enumerate(lines) if line in new]
    assert above == ["failures: 5", "candidate: new   # soon", "candidate: new"]


def test_line_ends_and_byte_order_mark_are_kept(tmp_path: Path) -> None:
    plain, odd = tmp_path / "plain.yaml", tmp_path / "odd.yaml"
    plain.write_text(TEXT)
    odd.write_bytes(("\ufeff" + TEXT).replace("\n", "\r\n").encode())
    for path in (plain, odd):
        edit_serve(path, {"first": Serve(candidate_percent=100)})
    assert odd.read_bytes() == ("\ufeff" + plain.read_text()).replace("\n", "\r\n").encode()


def test_edit_that_would_change_another_route_too_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    text = TEXT.replace("- {name: second,", "- &shared {name: second,").replace(
        "# The end.", "  - {<<: *shared, name: fifth, match: /fifth}"
    )
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"routes\[fifth\]: would change as well"):
        edit_serve(path, {"second": Serve(candidate_percent=100)})
    assert path.read_text() == text
    edit_serve(path, {"fifth": Serve(candidate_percent=100)})
    edit_serve(path, {"second": Serve(candidate_percent=50)})
    percents = {route.name: route.serve.candidate_percent for route in load(path).routes}
    assert (percents["second"], percents["fifth"]) == (50, 100)


def test_canary_that_another_upstream_takes_over_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    text = SPARSE.replace("old: {", "old: &shared {").replace("third: {", "third: {<<: *shared, ")
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"upstreams\.third: would change as well"):
        edit_canary(path, {"old": Canary(percent=5)})
    assert path.read_text() == text


def test_what_somebody_else_saves_during_an_edit_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    path.write_text(TEXT)
    prepared = prepare_serve(path, {"first": Serve(candidate_percent=100)})
    path.write_text(TEXT.replace("default: old", "default: new"))
    with pytest.raises(ConfigError, match="changed by somebody else meanwhile"):
        prepared.apply()
    assert path.read_text() == TEXT.replace("default: old", "default: new")


def test_an_edit_has_an_exact_way_back(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    path.write_text(SPARSE)
    edit = edit_serve(path, {"first": Serve(candidate_percent=100)})
    assert edit.stands()
    edit.undone.apply()
    assert path.read_text() == SPARSE
    assert not edit.stands()


def test_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "strangler.yaml"
    path.write_bytes(TEXT.replace("# quoted", "# caf\u00e9").encode("latin-1"))
    for use in (load, lambda path: edit_serve(path, {"first": Serve(candidate_percent=100)})):
        with pytest.raises(ConfigError, match=r"strangler\.yaml:7: is not UTF-8"):
            use(path)
