"""The torture is only worth something if its checker catches each kind of broken promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from scripts.torturing.checker import Contents, check
from scripts.torturing.history import Kind, Operation, Outcome

OK, REFUSED, UNKNOWN = Outcome


class Client:
    """What one client did, one operation a second."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def does(
        self,
        kind: Kind,
        value: int | None = None,
        outcome: Outcome = OK,
        word: str = "a",
        lasting: float = 0.5,
    ) -> Client:
        began = float(len(self.operations))
        mark = f"m{len(self.operations)}"
        self.operations.append(
            Operation("c", kind, word, mark, value, began, began + lasting, outcome)
        )
        return self

    def inserts(self, value: int, outcome: Outcome = OK, word: str = "a") -> Client:
        return self.does(Kind.INSERT, value, outcome, word)

    def updates(self, value: int, outcome: Outcome = OK) -> Client:
        return self.does(Kind.UPDATE, value, outcome)

    def deletes(self, outcome: Outcome = OK) -> Client:
        return self.does(Kind.DELETE, None, outcome)

    def reads(self, value: int | None) -> Client:
        return self.does(Kind.READ, value)


def side(name: str, log: str, **items: int) -> Contents:
    return Contents(name, items, Counter(log.split()))


def found(client: Client, *sides: Contents) -> list[str]:
    return [violation.sentence for violation in check(client.operations, sides)]


def both(client: Client, log: str, **items: int) -> list[str]:
    return found(client, side("old", log, **items), side("new", log, **items))


def test_writes_that_are_all_there_once_are_no_violation():
    client = Client().inserts(1).updates(2).reads(2).inserts(5, word="b")
    assert both(client, "m0 m1 m3", a=2, b=5) == []


@pytest.mark.parametrize(
    ("log", "items"),
    [("m0", {"a": 1}), ("m0 m1", {"a": 2})],
    ids=["it was not carried out", "it was"],
)
def test_a_write_of_unknown_end_may_be_there_or_not(log: str, items: dict[str, int]):
    assert both(Client().inserts(1).updates(2, UNKNOWN), log, **items) == []


def test_a_write_of_unknown_end_is_the_same_on_both_sides():
    client = Client().inserts(1).updates(2, UNKNOWN)
    told = found(client, side("old", "m0 m1", a=2), side("new", "m0", a=1))
    assert "old has 2, new has 1" in told
    assert "m1 is not as often in old as in new" in told


def test_a_lost_write_is_caught():
    told = both(Client().inserts(1), "")
    assert "old has no row; it must have 1" in told
    assert "new has lost insert m0, which was acknowledged" in told


def test_a_lost_update_is_caught():
    told = both(Client().inserts(1).updates(2), "m0 m1", a=1)
    assert "new has 1; it must have 2" in told


def test_an_update_that_an_older_copy_has_overwritten_is_caught():
    told = found(
        Client().inserts(1).updates(2), side("old", "m0 m1", a=2), side("new", "m0 m1", a=1)
    )
    assert told == ["new has 1; it must have 2", "old has 2, new has 1"]


def test_an_insert_that_was_carried_out_twice_is_caught():
    assert "new has carried out insert m0 2 times" in both(Client().inserts(1), "m0 m0", a=1)


def test_an_update_that_was_carried_out_twice_is_caught_by_the_log():
    told = both(Client().inserts(1).updates(2), "m0 m1 m1", a=2)
    assert "old has carried out update m1 2 times" in told


def test_a_deleted_row_that_is_back_is_caught():
    assert "new has 1; it must have no row" in both(Client().inserts(1).deletes(), "m0 m1", a=1)


def test_a_refused_write_that_was_carried_out_is_caught():
    told = both(Client().inserts(1).updates(2, REFUSED), "m0 m1", a=2)
    assert "old has 2; it must have 1" in told
    assert "old has carried out update m1, which was refused" in told


def test_a_write_at_one_side_only_is_caught():
    told = found(Client().inserts(1), side("old", "m0", a=1), side("new", ""))
    assert "new has no row; it must have 1" in told
    assert "old has 1, new has no row" in told
    assert "m0 is not as often in old as in new" in told


def test_a_row_that_nobody_wrote_is_caught():
    told = both(Client(), "m9", z=3)
    assert "new has a row that nobody has written" in told
    assert "new has m9 in its log, which nobody has written" in told


def test_a_stale_read_after_an_acknowledged_write_is_caught():
    told = both(Client().inserts(1).updates(2).reads(1), "m0 m1", a=2)
    assert told == ["c was told 1; it was 2 then"]


def test_a_row_that_is_read_after_its_delete_is_caught():
    told = both(Client().inserts(1).deletes().reads(1), "m0 m1")
    assert told == ["c was told 1; it was no row then"]


def test_a_row_that_is_missing_to_a_reader_is_caught():
    assert both(Client().inserts(1).reads(None), "m0", a=1) == ["c was told no row; it was 1 then"]


def test_a_read_beside_a_write_may_find_either_value():
    for value in (1, 2):
        client = Client().inserts(1).does(Kind.UPDATE, 2, lasting=5.0).reads(value)
        assert both(client, "m0 m1", a=2) == []


def test_a_read_of_a_value_that_never_was_is_caught_beside_a_write():
    client = Client().inserts(1).does(Kind.UPDATE, 2, lasting=5.0).reads(3)
    assert both(client, "m0 m1", a=2) == ["c was told 3; it was 1 or 2 then"]


def test_a_violation_names_its_word():
    words = [each.word for each in check(Client().inserts(1, word="b").operations, _empty())]
    assert set(words) == {"b"}


def _empty() -> Sequence[Contents]:
    return side("old", ""), side("new", "")
