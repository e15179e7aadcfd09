"""What a repository of payments promises, in memory and in each database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from extracted.chassis.clock import utc_now
from extracted.chassis.database import Database
from extracted.chassis.events import Event
from extracted.chassis.events.payloads import Payload, Person
from extracted.chassis.outbox import Outbox
from extracted.payment.charging import Charged, Refused
from extracted.payment.reconciling import Unfinished
from extracted.payment.repository import SqlPayments
from extracted.payment.service import Payment, finished
from extracted.payment.tables import outbox, payments
from tests.integration.payment.conftest import KINDS, emptied, migrated
from tests.payments_in_memory import ANN, ORDER, MemoryPayments

NOW = utc_now()
LEASE_S = timedelta(seconds=30)
LEASE = NOW + LEASE_S
SUCCEEDED = Charged("pi_1", "succeeded")
T = TypeVar("T")


class Shelf:
    """A repository, and a count of the events in it."""

    def __init__(self, repository: MemoryPayments | SqlPayments, database: Database | None) -> None:
        self.repository = repository
        self._database = database

    def events(self) -> int:
        if self._database is None:
            assert isinstance(self.repository, MemoryPayments)
            return len(self.repository.events)
        with self._database.sessions() as session:
            return session.scalar(select(func.count()).select_from(outbox)) or 0


@pytest.fixture(scope="module", params=["memory", *KINDS])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str | None]:
    if request.param == "memory":
        yield None
        return
    with migrated(request.param, tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest.fixture
def shelf(place: str | None) -> Iterator[Shelf]:
    if place is None:
        yield Shelf(MemoryPayments(), None)
        return
    with closing(Database(emptied(place))) as database:
        yield Shelf(SqlPayments(database.sessions, Outbox(outbox)), database)


@pytest.fixture
def repository(shelf: Shelf) -> MemoryPayments | SqlPayments:
    return shelf.repository


def begun(repository: Unfinished, key: str = "key-1", user_id: int = 1) -> Payment:
    order = replace(ORDER, key=key, user_id=user_id)
    payment, new = repository.record(order, ANN, NOW, LEASE)
    assert new
    return payment


def there(repository: Unfinished, payment: Payment) -> Payment | None:
    return repository.own(payment.order.user_id, payment.id)


def crowd(count: int, act: Callable[[], T]) -> list[T]:
    """What each of so many gets who do this at the same moment."""
    gate = threading.Barrier(count)

    def one(_: int) -> T:
        gate.wait(20)
        return act()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_what_is_recorded_is_read_back_the_same(repository: Unfinished) -> None:
    payment = begun(repository)
    assert there(repository, payment) == payment
    assert (payment.status, payment.created_at, payment.lease_until) == ("pending", NOW, LEASE)
    assert payment.payer == ANN


def test_a_key_is_recorded_once_for_each_user_and_by_its_case(repository: Unfinished) -> None:
    payment = begun(repository)
    assert repository.record(ORDER, ANN, NOW, LEASE + LEASE_S) == (payment, False)
    begun(repository, "KEY-1")
    begun(repository, user_id=2)


def test_of_a_crowd_one_records(repository: Unfinished) -> None:
    recorded = crowd(6, lambda: repository.record(ORDER, ANN, NOW, LEASE))
    assert sorted(new for _, new in recorded) == [False] * 5 + [True]
    assert len({payment.id for payment, _ in recorded}) == 1


def test_a_lease_is_taken_when_it_is_over_and_by_one(repository: Unfinished) -> None:
    payment = begun(repository)
    later = LEASE + timedelta(seconds=30)
    just_before = LEASE - timedelta(milliseconds=1)
    assert repository.take_over(payment, just_before, later) is None
    taken = crowd(6, lambda: repository.take_over(payment, LEASE, later))
    assert [each for each in taken if each] == [replace(payment, lease_until=later)]
    assert there(repository, payment) == replace(payment, lease_until=later)


def test_a_taker_may_say_who_pays_and_otherwise_that_stays(repository: Unfinished) -> None:
    payment = begun(repository)
    anna = Person(id=1, name="Anna", email="ann@example.org")
    taken = repository.take_over(payment, LEASE, LEASE, anna)
    assert taken is not None
    assert taken.payer == anna
    assert repository.take_over(taken, LEASE, LEASE) == taken == there(repository, payment)


def test_a_release_frees_its_own_lease_and_no_other(repository: Unfinished) -> None:
    payment = begun(repository)
    retry_at = NOW + timedelta(hours=1)
    other = replace(payment, lease_until=LEASE + timedelta(milliseconds=1))
    repository.release(other, retry_at)
    assert there(repository, payment) == payment
    repository.release(payment, retry_at)
    assert there(repository, payment) == replace(payment, lease_until=None, retry_at=retry_at)
    assert repository.take_over(payment, NOW, LEASE) is not None


@pytest.mark.parametrize(
    "outcome",
    [
        SUCCEEDED,
        Refused(True, "card_declined", "Leider nicht möglich.", "insufficient_funds", "pi_1"),
        Refused(False, "resource_missing", "No such thing."),
        Charged("pi_1", "processing"),
    ],
)
def test_an_end_is_written_with_its_event_and_read_back_the_same(
    shelf: Shelf, outcome: Charged | Refused
) -> None:
    payment = begun(shelf.repository)
    after, event = finished(payment, outcome, NOW)
    assert shelf.repository.finish(payment, after, event) == after
    assert there(shelf.repository, payment) == after
    assert shelf.events() == (1 if outcome == SUCCEEDED else 0)
    assert shelf.repository.take_over(payment, LEASE, LEASE) is None


def test_who_finishes_second_writes_nothing_and_is_given_what_there_is(shelf: Shelf) -> None:
    payment = begun(shelf.repository)
    ends = crowd(6, lambda: shelf.repository.finish(payment, *finished(payment, SUCCEEDED, NOW)))
    assert {end.status for end in ends if end} == {"succeeded"}
    failed, _ = finished(payment, Refused(True, "card_declined", "No."), NOW)
    assert shelf.repository.finish(payment, failed, None).status == "succeeded"
    assert shelf.events() == 1


def test_payments_are_seen_by_their_payer_alone_the_newest_first(repository: Unfinished) -> None:
    own = [begun(repository, f"key-{number}") for number in range(5)]
    other = begun(repository, user_id=2)
    assert repository.own(1, own[0].id) == own[0]
    assert repository.own(1, other.id) is None
    assert repository.own(1, 2**31 - 1) is None
    assert ids(repository.all_own(1, 0, 3)) == [own[4].id, own[3].id, own[2].id]
    assert ids(repository.all_own(1, 3, 3)) == [own[1].id, own[0].id]


def ids(found: Sequence[Payment]) -> list[int]:
    return [payment.id for payment in found]


def test_due_is_what_is_unfinished_free_and_not_to_be_left_alone(repository: Unfinished) -> None:
    free, leased, later, done, processing = (begun(repository, f"key-{n}") for n in range(5))
    repository.release(free)
    repository.release(later, LEASE)
    repository.finish(done, *finished(done, SUCCEEDED, NOW))
    repository.finish(processing, *finished(processing, Charged("pi_5", "processing"), NOW))
    long_ago = NOW - timedelta(days=7)

    def due(
        now: datetime, begun_after: datetime = long_ago, after: int = 0, most: int = 9
    ) -> object:
        return ids(repository.due(now, begun_after, after, most))

    assert due(NOW) == [free.id, processing.id]
    assert due(LEASE) == [free.id, leased.id, later.id, processing.id]
    assert due(LEASE, after=free.id, most=2) == [leased.id, later.id]
    assert due(LEASE, begun_after=NOW) == [processing.id]


def test_a_person_sees_what_is_too_old_and_whose_payer_nobody_knows(shelf: Shelf) -> None:
    repository = shelf.repository
    old, unknown = begun(repository), begun(repository, "key-2")
    done = begun(repository, "key-3")
    repository.finish(done, *finished(done, SUCCEEDED, NOW))
    assert ids(repository.for_a_person(NOW + timedelta(hours=22))) == []
    if isinstance(repository, MemoryPayments):
        repository.kept[unknown.id] = replace(unknown, payer=None)
    else:
        with shelf._database.sessions.begin() as session:  # type: ignore[union-attr]
            this = payments.c.id == unknown.id
            session.execute(payments.update().where(this).values(payer_name=None, payer_email=None))
    assert ids(repository.for_a_person(NOW)) == [unknown.id]
    assert ids(repository.for_a_person(NOW + timedelta(hours=24))) == [old.id, unknown.id]
    assert ids(repository.for_a_person(NOW + timedelta(hours=24), old.id)) == [old.id]
    assert ids(repository.for_a_person(NOW, old.id)) == []
    assert ids(repository.due(LEASE, NOW - timedelta(days=1), 0, 9)) == [old.id]
    assert there(repository, unknown) == replace(unknown, payer=None)


class FullOutbox(Outbox):
    """Takes no event, as a database would that fails in the middle of the transaction."""

    def record(self, session: Session, event: Event[Payload]) -> None:
        raise RuntimeError("no room for it")


def test_an_end_whose_event_cannot_be_recorded_is_not_written_either(payment_url: str) -> None:
    with closing(Database(emptied(payment_url))) as database:
        repository = SqlPayments(database.sessions, FullOutbox(outbox))
        payment = begun(repository)
        with pytest.raises(RuntimeError, match="no room"):
            repository.finish(payment, *finished(payment, SUCCEEDED, NOW))
        assert there(repository, payment) == payment


def test_what_stands_against_a_record_and_is_not_its_key_is_raised(payment_url: str) -> None:
    with closing(Database(emptied(payment_url))) as database:
        repository = SqlPayments(database.sessions, Outbox(outbox))
        nobody = replace(ORDER, user_id=None)
        with pytest.raises(IntegrityError):
            repository.record(nobody, ANN, NOW, LEASE)
