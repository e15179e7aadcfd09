from __future__ import annotations

import math

import pytest

from scripts.torturing.failures import Failure, Trouble, failure, unexcused, until_settled
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


def test_a_death_excuses_until_a_cut_over_has_ended_behind_it():
    killed = trouble(Death.WORKER, 4.0, 4.5)
    (lasting,) = until_settled([killed], [3.0, 9.0, 12.0], after_s=5.0)
    assert (lasting.began, lasting.ended) == (4.0, 14.0)
    (for_good,) = until_settled([killed], [3.0], after_s=5.0)
    assert for_good.ended == math.inf
