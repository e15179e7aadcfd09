"""Where a move stands follows from its records alone."""

import pytest

from strangler_proxy.handover.standing import Begun, Phase, Standing, standing

RUN = {"kind": "run", "pid": 1, "host": "h", "command": "start"}
BEGUN = {
    "kind": "begun", "at": "1", "declared": "d", "source": "s", "target": "t", "fingerprint": "f",
    "home": None,
}  # fmt: skip
CAPTURED = {"kind": "captured", "at": "2"}
COPIED = {"kind": "copied", "at": "3"}
CAUGHT_UP = {"kind": "caught_up", "at": "4"}
STOPPED = {"kind": "stopped", "at": "5", "why": "told to"}
REMOVING = {"kind": "removing", "at": "6"}
REMOVED = {"kind": "removed", "at": "7"}
WHOLE = [RUN, BEGUN, CAPTURED, COPIED, CAUGHT_UP, STOPPED, REMOVING, REMOVED]


@pytest.mark.parametrize(
    ("so_far", "phase"),
    [
        (0, Phase.NEW),
        (1, Phase.NEW),
        (2, Phase.CAPTURE),
        (3, Phase.COPY),
        (4, Phase.TAIL),
        (5, Phase.TAIL),
        (6, Phase.TAIL),
        (7, Phase.REMOVAL),
        (8, Phase.NEW),
    ],
)
def test_a_kill_behind_each_record_leaves_the_phase_that_goes_on_from_there(so_far, phase):
    assert standing(WHOLE[:so_far]).phase is phase


def test_what_a_move_was_begun_with_is_kept_until_it_is_removed():
    begun = Begun("1", "d", "s", "t", "f", None)
    for so_far in range(2, 8):
        assert standing(WHOLE[:so_far]).begun == begun
    assert standing(WHOLE) == Standing()


def test_a_move_that_was_removed_is_begun_anew_without_what_was_known_before():
    again = standing([*WHOLE, RUN, {**BEGUN, "at": "8", "source": "other"}])
    assert again == Standing(Phase.CAPTURE, Begun("8", "d", "other", "t", "f", None))


def test_a_mover_that_was_killed_leaves_no_word_of_why_it_ended():
    assert standing(WHOLE[:6]).ended == "told to"
    assert standing([*WHOLE[:6], RUN]).ended is None


def test_another_command_that_held_the_ledger_is_not_taken_for_a_mover():
    assert standing([*WHOLE[:6], {**RUN, "command": "verify --repair"}]).ended == "told to"


def test_times_are_those_of_the_records():
    now = standing(WHOLE[:5])
    assert (now.captured_at, now.copied_at, now.caught_up_at) == ("2", "3", "4")


def test_a_retirement_is_begun_and_ended_and_tells_whether_tables_were_dropped():
    begun = [BEGUN, {"kind": "copied", "at": "t"}, {"kind": "retiring", "at": "t"}]
    assert standing(begun).phase is Phase.RETIREMENT
    kept = standing([*begun, {"kind": "retired", "at": "t", "dropped": False}])
    assert (kept.phase, kept.dropped) == (Phase.RETIRED, False)
    gone = standing([*begun, {"kind": "retired", "at": "t", "dropped": True}])
    assert gone.dropped
