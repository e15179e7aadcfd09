from __future__ import annotations

import math
from dataclasses import replace

import pytest

from scripts.torturing.failures import Failure, Trouble, failure, run_out, unexcused, until_settled
from scripts.torturing.history import Kind, Operation, Outcome
from scripts.torturing.nemesis import EXCUSES, Death
from strangler_proxy.handover.databases.fences import about_to_move, has_moved
from strangler_proxy.handover.databases.port import TableName

ITEMS = TableName(None, "items")


def told(text: str, client: str = "c1", began: float = 5.0) -> Operation:
    return Operation(client, Kind.UPDATE, "a", "m", 1, began, began + 1, Outcome.REFUSED, text)


def trouble(death: Death, began: float, ended: float) -> Trouble:
    return Trouble(began, ended, str(death), EXCUSES[death])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"409 OperationalError: {about_to_move('torture', ITEMS)}", Failure.UP),
        (f"409 IntegrityError: {has_moved('torture', ITEMS)}", Failure.SHUT),
        ("409 LookupError: update a: 0 rows", Failure.WRONG),
        ("409 UniqueViolation: duplicate key", Failure.WRONG),
        ("409 OperationalError: connection refused", Failure.DATABASE),
        ("500 InterfaceError: (0, '')", Failure.DATABASE),
        ("502 upstream", Failure.UNAVAILABLE),
        ("ConnectionResetError: ", Failure.BROKEN),
        ("IncompleteReadError: 0 bytes read", Failure.BROKEN),
    ],
)
def test_what_a_client_was_told_has_a_kind(text: str, kind: Failure):
    assert failure(told(text)) == kind


def test_a_failure_while_nothing_was_dead_is_a_violation():
    ((violation),) = unexcused([told("ConnectionResetError: ")], [])
    assert violation.word == "a"
    assert "ConnectionResetError" in violation.sentence


def test_a_killed_worker_breaks_connections_off_for_a_while():
    killed = trouble(Death.WORKER, 4.0, 5.5)
    assert not list(unexcused([told("ConnectionResetError: ")], [killed]))
    assert list(unexcused([told("ConnectionResetError: ", began=6.0)], [killed]))


def test_a_killed_mover_breaks_no_connection_off():
    killed = trouble(Death.MOVER, 4.0, 9.0)
    assert list(unexcused([told("ConnectionResetError: ")], [killed]))
    assert list(unexcused([told(f"409 {about_to_move('torture', ITEMS)}")], [killed]))
    assert not list(unexcused([told(f"409 {has_moved('torture', ITEMS)}")], [killed]))


def test_a_row_that_is_not_as_it_must_be_is_excused_by_nothing():
    deaths = [trouble(death, 0.0, 9.0) for death in Death]
    assert list(unexcused([told("409 LookupError: update a: 0 rows")], deaths))


def test_who_bypasses_the_proxy_is_refused_by_fences_and_by_nothing_else():
    for sentence in (about_to_move("torture", ITEMS), has_moved("torture", ITEMS)):
        assert not list(unexcused([told(f"Error: {sentence}", "bypass0-l1")], []))
    assert list(unexcused([told("OperationalError: deadlock", "bypass0-l1")], []))


def test_who_was_killed_was_told_nothing():
    sent = Operation("bypass0-l1", Kind.INSERT, "a", "m", 1, 5.0)
    assert not list(unexcused([sent], []))


def ended(at: float, hold_s: float = 0.1) -> dict[str, object]:
    return {"event": "ended", "at": at, "hold_s": hold_s}


def test_a_death_excuses_until_a_cut_over_has_ended_behind_it():
    killed = trouble(Death.WORKER, 4.0, 4.5)
    fault = {"event": "fault", "at": 5.0}
    told_of = [ended(3.0), fault, {"event": "resumed", "at": 9.0}, ended(12.0)]
    (lasting,) = until_settled([killed], told_of, after_s=5.0)
    assert (lasting.began, lasting.ended) == (4.0, 14.0)
    (for_good,) = until_settled([killed], [ended(3.0)], after_s=5.0)
    assert for_good.ended == math.inf


def test_a_mover_that_is_to_die_behind_a_step_is_dead_from_that_step_on():
    ordered = replace(trouble(Death.MOVER_BEHIND, 4.0, 4.0), ordered=True)
    told_of = [ended(4.1), {"event": "killed", "at": 11.0}, {"event": "resumed", "at": 12.0}]
    (lasting,) = until_settled([ordered], told_of, after_s=5.0)
    assert (lasting.began, lasting.ended) == (11.0, 17.0)
    assert not list(until_settled([ordered], [ended(4.1)], after_s=5.0))


def test_a_hold_that_has_run_out_excuses_the_fence_that_is_shut_and_nothing_else():
    (late,) = run_out([ended(3.0), ended(7.0, hold_s=2.5)], hold_s=2.0, after_s=1.0)
    assert (late.began, late.ended) == (4.5, 8.0)
    assert not list(unexcused([told(f"409 {has_moved('torture', ITEMS)}")], [late]))
    assert list(unexcused([told(f"409 {about_to_move('torture', ITEMS)}")], [late]))
    assert list(unexcused([told("ConnectionResetError: ")], [late]))
    assert list(unexcused([told("503 Service Unavailable")], [late]))
