"""What comes next, as a table: the step, where its ledger stands, what is wanted -> one move."""

import pytest

from strangler_proxy.steps import Stage, Step
from strangler_proxy.steps.decision import (
    Begin,
    Direction,
    Execute,
    Finish,
    Prove,
    Rest,
    Restore,
    TurnBack,
    Undo,
    UnknownPart,
    next_move,
)
from strangler_proxy.steps.state import Kind, fold
from tests.unit.steps.fakes import FakeGate, FakePart

A, B, B2, C = (
    FakePart("a", {}),
    FakePart("b", {}, family="flip"),
    FakePart("b2", {}, family="flip"),
    FakePart("c", {}),
)
G, H = FakeGate("g"), FakeGate("h")
FIRST = Stage("first", A, (G,))
ASK = Stage("ask", None, (H,))
STEP = Step("s", "S", (FIRST, ASK, Stage("b", B), Stage("b2", B2), Stage("c", C)))


def doing(part):
    return {"kind": "doing", "part": part, "facts": {"of": part}}


def done(part):
    return [doing(part), {"kind": "done", "part": part}]


BEGAN = {"kind": "began"}
G_PASSED, H_PASSED = ({"kind": "passed", "gate": gate} for gate in ("first/g", "ask/h"))
FAILED = {"kind": "failed", "text": "why"}
TURNED = {"kind": "turned"}
ALL = [BEGAN, *done("a"), G_PASSED, H_PASSED, *done("b"), *done("b2"), *done("c")]
FINISHED = [*ALL, {"kind": "finished"}]
UNDONE = [{"kind": "undone", "parts": ["c", "b2", "b", "a"]}]


@pytest.mark.parametrize(
    ("records", "on_execute", "on_undo"),
    [
        ([], Begin(), Rest()),
        ([{"kind": "run"}], Begin(), Rest()),
        ([BEGAN], Execute(A), TurnBack()),
        ([BEGAN, doing("a")], Execute(A, resumed=True), TurnBack()),
        ([BEGAN, *done("a")], Prove(FIRST, G), TurnBack()),
        ([BEGAN, *done("a"), {"kind": "stopped"}], Prove(FIRST, G), TurnBack()),
        ([BEGAN, *done("a"), G_PASSED], Prove(ASK, H), TurnBack()),
        ([BEGAN, *done("a"), G_PASSED, H_PASSED], Execute(B), TurnBack()),
        (ALL, Finish(), TurnBack()),
        (FINISHED, Rest(), TurnBack()),
        ([BEGAN, *done("a"), FAILED], Undo((A,)), Undo((A,))),
        ([BEGAN, doing("a"), FAILED], Undo((A,)), Undo((A,))),
        ([BEGAN, FAILED], Restore(), Restore()),
        ([BEGAN, *done("a"), TURNED], Undo((A,)), Undo((A,))),
        ([*FINISHED, TURNED], Undo((C,)), Undo((C,))),
        ([*FINISHED, TURNED, {"kind": "undoing", "parts": ["c"]}], Undo((C,)), Undo((C,))),
        ([*FINISHED, TURNED, {"kind": "undone", "parts": ["c"]}], Undo((B2, B)), Undo((B2, B))),
        ([*FINISHED, TURNED, *UNDONE], Restore(), Restore()),
        ([*FINISHED, TURNED, *UNDONE, {"kind": "restored"}], Begin(), Rest()),
        ([*FINISHED, {"kind": "lapsed", "part": "a", "gates": ["first/g"]}],
         Execute(A, resumed=True), TurnBack()),
        ([*FINISHED, {"kind": "lapsed", "part": "a", "gates": ["first/g"]},
          {"kind": "done", "part": "a"}], Prove(FIRST, G), TurnBack()),
    ],
)  # fmt: skip
def test_the_next_move_follows_from_the_ledger_and_the_wanted_direction(
    records, on_execute, on_undo
):
    state = fold(records)
    assert next_move(STEP, state, Direction.EXECUTE) == on_execute
    assert next_move(STEP, state, Direction.UNDO) == on_undo


def test_every_kind_of_record_changes_the_state_without_a_fault():
    sample = {"part": "a", "parts": ["a"], "facts": {}, "gate": "g", "gates": [], "text": "t"}
    for kind in Kind:
        fold([{"kind": str(kind), **sample}])


def test_the_facts_written_before_the_act_are_those_the_undo_gets():
    state = fold([BEGAN, *done("a"), TURNED, {"kind": "undoing", "parts": ["a"]}])
    assert state.part("a").facts == {"of": "a"}


def test_a_ledger_with_parts_in_force_that_the_step_lacks_is_refused():
    state = fold([BEGAN, *done("flip to 7%")])
    with pytest.raises(UnknownPart, match="flip to 7%"):
        next_move(STEP, state, Direction.UNDO)


@pytest.mark.parametrize(
    "stages",
    [
        (Stage("x", A), Stage("x", B)),
        (Stage("x", A), Stage("y", A)),
        (Stage("x", None, (G, G)),),
    ],
)
def test_a_step_that_names_something_twice_is_refused(stages):
    with pytest.raises(ValueError, match="twice"):
        Step("s", "S", stages)
