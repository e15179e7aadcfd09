"""The handover's protocol, as spin sees it; docs/handover.md says what each invariant means."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.protocol_model.questions import BROKEN, CLAIMS, SMALL, USUAL, Question
from scripts.protocol_model.spin import (
    MODEL,
    Bounds,
    ModelBroken,
    Outcome,
    SpinMissing,
    ask,
    needed,
    read,
)

ROOT = Path(__file__).parents[3]
NAMED = re.compile(r"\[([a-z]+\.[a-z_]+)\]")
BOUNDS = Bounds(seconds=60, megabytes=1_500)


@pytest.fixture(scope="module")
def spin() -> None:
    try:
        needed()
    except SpinMissing as missing:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(f"REQUIRE_SERVICES=1, but {missing}")
        pytest.skip(str(missing))


def _by_name(question: Question) -> str:
    return question.name


@pytest.mark.services
@pytest.mark.usefixtures("spin")
@pytest.mark.parametrize("question", SMALL, ids=_by_name)
def test_the_protocol_holds_in_every_order_of_events(question: Question) -> None:
    outcome = ask(question, BOUNDS)
    assert outcome.as_it_must, f"{outcome.fault or outcome.unfinished}\n{outcome.trail}"
    assert outcome.states > 100_000


@pytest.mark.services
@pytest.mark.usefixtures("spin")
@pytest.mark.parametrize("question", BROKEN, ids=_by_name)
def test_a_protocol_without_one_of_its_guards_is_caught(question: Question) -> None:
    outcome = ask(question, BOUNDS)
    assert outcome.as_it_must, f"expected {question.refuted_by!r}, got {outcome}"


@pytest.mark.services
@pytest.mark.usefixtures("spin")
@pytest.mark.parametrize("question", CLAIMS, ids=_by_name)
def test_what_the_protocol_is_for_does_happen_in_the_model(question: Question) -> None:
    assert ask(question, BOUNDS).fault is not None


@pytest.mark.services
@pytest.mark.usefixtures("spin")
def test_a_model_that_does_not_build_is_no_result() -> None:
    with pytest.raises(ModelBroken, match="syntax error"):
        ask(Question("no such type", {"byte": 0}), BOUNDS)


@pytest.mark.services
@pytest.mark.usefixtures("spin")
def test_a_search_that_runs_out_of_time_or_memory_is_not_a_pass() -> None:
    late = ask(USUAL[0], Bounds(seconds=0.2))
    full = ask(USUAL[0], Bounds(megabytes=200))
    assert not late.as_it_must
    assert late.unfinished == "not finished after 0 s"
    assert not full.as_it_must
    assert full.unfinished


def test_an_error_of_another_kind_than_the_expected_one_does_not_count_as_caught() -> None:
    said = "pan:1: invalid end state (at depth 3)\nState-vector 8 byte, errors: 1\n"
    question = Question("fence lost", {}, refuted_by="==accepted")
    assert not read(question, said, 0.1).as_it_must
    assert read(Question("stuck", {}, refuted_by="invalid end state"), said, 0.1).as_it_must


def test_a_search_cut_short_without_an_error_is_not_a_pass() -> None:
    said = "error: max search depth too small\nState-vector 8 byte, errors: 0\n"
    outcome = read(Question("holds", {}), said, 0.1)
    assert outcome.unfinished == "max search depth too small"
    assert not outcome.as_it_must


def test_every_guard_taken_out_is_one_that_the_model_has() -> None:
    text = MODEL.read_text()
    asked = {flag for question in (*BROKEN, *CLAIMS, *USUAL) for flag in question.defines}
    known = set(re.findall(r"#\s*(?:ifdef|ifndef) (\w+)", text))
    known |= set(re.findall(r"defined\((\w+)\)", text))
    assert asked <= known


def test_the_model_and_its_document_name_the_same_functions() -> None:
    document = (ROOT / "docs" / "handover.md").read_text()
    in_model = set(NAMED.findall(MODEL.read_text()))
    in_document = set(re.findall(r"`([a-z]+\.[a-z_]+)`", document.split("## Transitions")[1]))
    assert in_model
    assert in_model <= in_document


def test_without_spin_the_check_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.protocol_model"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "spin and gcc not found" in done.stderr
    assert "apt-get install spin gcc" in done.stderr


def test_an_outcome_says_what_was_found() -> None:
    said = (
        "State-vector 116 byte, depth reached 124, errors: 0\n"
        "  4079036 states, stored\n  472.141\ttotal actual memory usage\n"
    )
    outcome = read(Question("holds", {}), said, 9.0)
    assert outcome == Outcome(Question("holds", {}), 4_079_036, 9.0, 472.141)
    assert outcome.as_it_must
