"""The change of the file and its way back, with a reload that does as the test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler_proxy.config import ConfigError, Problem, load
from strangler_proxy.running.client import ProxyUnreachable
from strangler_proxy.running.flip import change_routes, change_upstreams

TEXT = """\
upstreams:
  old: {url: http://127.0.0.1:1}
  new: {url: http://127.0.0.1:2}   # the service
default: old
routes:
  - name: moving
    match: /moving
    control: old
    candidate: new
    serve: control   # who answers
  - name: other
    match: /other
    control: old
    candidate: new
    serve: {candidate_percent: 5, sticky: "header:x-user"}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "strangler.yaml"
    path.write_text(TEXT)
    return path


def refusal() -> int:
    raise ConfigError([Problem("strangler.yaml", None, "listen", "cannot change")])


def test_percent_keeps_what_callers_are_known_by(path: Path) -> None:
    flipped = change_routes(path, ["moving", "other"], 25, None, lambda: 7)
    assert flipped.generation == 7
    assert flipped.before["moving"].candidate_percent == 0
    assert [serve.candidate_percent for serve in flipped.after.values()] == [25, 25]
    assert flipped.after["other"].sticky == "header:x-user"
    assert "# the service" in path.read_text()


def test_canary_leaves_the_percent_to_the_upstream(path: Path) -> None:
    change_routes(path, ["moving"], "canary", None, lambda: 2)
    flipped = change_upstreams(path, ["new"], 10, None, lambda: 3)
    assert flipped.after["new"].percent == 10
    config = load(path)
    assert [config.serve_of(route).candidate_percent for route in config.routes] == [10, 5]


@pytest.mark.parametrize("fault", [ConfigError([]), ProxyUnreachable("died"), TimeoutError()])
def test_change_that_is_not_taken_over_is_taken_back(path: Path, fault: Exception) -> None:
    served: list[int] = []

    def reload() -> int:
        served.extend(load(path).serve_of(route).candidate_percent for route in load(path).routes)
        raise fault

    with pytest.raises(type(fault)):
        change_routes(path, ["moving"], "candidate", None, reload)
    assert served == [100, 5]
    assert path.read_text() == TEXT


def test_file_of_a_refused_flip_is_byte_for_byte_as_it_was(path: Path) -> None:
    written = (
        TEXT.replace("    serve: control   # who answers\n", "").replace("\n", "\r\n").encode()
    )
    path.write_bytes(written)
    with pytest.raises(ConfigError):
        change_routes(path, ["moving"], "candidate", None, refusal)
    assert path.read_bytes() == written


def test_upstream_that_is_refused_gets_its_canary_back(path: Path) -> None:
    change_upstreams(path, ["new"], 5, "header:x-user", lambda: 1)
    before = load(path)
    with pytest.raises(ConfigError):
        change_upstreams(path, ["new"], 50, None, refusal)
    assert load(path) == before
    assert before.upstreams["new"].canary.percent == 5


def test_way_back_leaves_alone_what_somebody_else_has_changed_meanwhile(path: Path) -> None:
    def overtaken() -> int:
        change_routes(path, ["moving"], 50, None, lambda: 2)
        return refusal()

    with pytest.raises(ConfigError):
        change_routes(path, ["moving", "other"], "candidate", None, overtaken)
    percents = [route.serve.candidate_percent for route in load(path).routes]
    assert percents == [50, 5]


def test_way_back_that_is_barred_is_told_with_the_refusal(path: Path) -> None:
    def spoiled() -> int:
        path.write_text("routes: [")
        return refusal()

    with pytest.raises(ConfigError) as told:
        change_routes(path, ["moving"], "candidate", None, spoiled)
    assert "cannot change" in str(told.value)
    assert "could not be taken back" in str(told.value)


@pytest.mark.parametrize(
    ("to", "sticky", "words"),
    [
        (101, None, "candidate_percent"),
        (-1, None, "candidate_percent"),
        (5, "moon", "'moon' is not a key"),
        ("canary", "client", "at its upstream"),
    ],
)
def test_values_that_cannot_be_are_refused_in_a_sentence(
    path: Path, to: object, sticky: str | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as told:
        change_routes(path, ["moving"], to, sticky, lambda: 1)  # type: ignore[arg-type]
    assert "\n" not in str(told.value)
    assert path.read_text() == TEXT


def test_unknown_names_are_refused_with_the_known_ones(path: Path) -> None:
    with pytest.raises(ConfigError, match="it has: moving, other"):
        change_routes(path, ["nowhere"], "candidate", None, lambda: 1)
    with pytest.raises(ConfigError, match="it has: old, new"):
        change_upstreams(path, ["nobody"], 5, None, lambda: 1)
