"""The Dockerfiles: small, pinned, of one base, run by nobody special, and copying what there is."""

from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.pin import asked
from scripts.processes import ROOT
from tests.composition import DEPLOY, DOCKERFILES, Dockerfile

EACH = pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.path.parent.name)


@EACH
def test_an_image_is_made_in_two_stages_of_the_same_pinned_base(file: Dockerfile) -> None:
    bases = [words[0] for words in file.words("FROM")]
    assert bases == [DOCKERFILES[0].words("FROM")[0][0]] * 2
    assert bases[0].startswith("python:3.11.")
    assert "-slim-" in bases[0]


@EACH
def test_an_image_runs_as_a_user_without_rights(file: Dockerfile) -> None:
    assert file.words("USER") == [["10001:10001"]]
    assert file.lines.index("USER 10001:10001") > max(
        file.lines.index(line) for line in file.lines if line.startswith(("RUN", "COPY"))
    )


@EACH
def test_an_image_installs_nothing_but_pinned_versions(file: Dockerfile) -> None:
    installing = [line for line in file.lines if "pip install" in line]
    assert installing
    assert all("--constraint" in line and "dev" not in line for line in installing)


@EACH
def test_what_is_copied_is_in_the_checkout_and_seen_by_the_build(file: Dockerfile) -> None:
    seen = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    for sources, _ in file.copies():
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in seen, source


def test_a_build_sees_only_what_is_named() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not [rule for rule in rules if rule.startswith("!.") or rule == "!var"]


def test_pinned_versions_are_those_that_the_project_allows() -> None:
    pinned = {
        each.name: next(iter(each.specifier)).version
        for each in map(Requirement, _lines("constraints.txt"))
    }
    for text in requires("strangler-proxy") or ():
        allowed = Requirement(text)
        version = pinned.get(canonicalize_name(allowed.name))
        if version is not None and allowed.name != "strangler-proxy":
            assert allowed.specifier.contains(version), f"{text}: run deploy/pin.py"


def test_all_that_images_ask_for_is_pinned() -> None:
    pinned = {Requirement(line).name for line in _lines("constraints.txt")}
    for file in DEPLOY.glob("*/requirements.txt"):
        for each in asked(file):
            assert canonicalize_name(each.name) in pinned, f"{each}: run deploy/pin.py"


def _lines(name: str) -> list[str]:
    lines = (DEPLOY / name).read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]
