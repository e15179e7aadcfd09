import pytest

from scripts.walking.journal import Facts, Journal, Row, agrees

OLD: Facts = {"title": "fig", "body": "old"}
NEW: Facts = {"title": "fig", "body": "new"}


def write(
    journal: Journal,
    facts: Facts | None,
    sent_at: float,
    acknowledged_at: float | None,
    parent: Row | None = None,
    mark: str = "fig",
) -> Row:
    row, change = journal.send("post", mark, facts, sent_at, parent)
    if acknowledged_at is not None:
        journal.acknowledge(row, change, 7, acknowledged_at)
    return row


@pytest.mark.parametrize(
    ("asked_at", "answered_at", "options"),
    [
        (0.0, 0.5, [None]),  # before anything was sent
        (0.0, 1.5, [None, OLD]),  # while the row was being made
        (2.0, 2.5, [OLD]),  # between the writes there is no doubt
        (2.5, 3.5, [OLD, NEW]),  # while the edit was under way
        (4.5, 9.0, [NEW]),  # after it, the old value would be stale
    ],
)
def test_an_answer_may_show_what_was_settled_before_it_or_sent_during_it(
    asked_at: float, answered_at: float, options: list[Facts | None]
) -> None:
    journal = Journal()
    row = write(journal, OLD, sent_at=1, acknowledged_at=2)
    write(journal, NEW, sent_at=3, acknowledged_at=4)
    assert row.options(asked_at, answered_at) == options


def test_a_write_without_an_answer_may_be_seen_or_not_for_ever() -> None:
    journal = Journal()
    row = write(journal, OLD, sent_at=1, acknowledged_at=2)
    write(journal, NEW, sent_at=3, acknowledged_at=None)
    assert row.options(100, 101) == [OLD, NEW]


def test_a_refused_write_must_have_had_no_effect() -> None:
    journal = Journal()
    row, change = journal.send("comment", "hello", {"body": "hello"}, 1)
    journal.refuse(change)
    assert row.options(5, 6) == [None]


def test_a_deleted_row_may_not_come_back() -> None:
    journal = Journal()
    row = write(journal, OLD, sent_at=1, acknowledged_at=2)
    write(journal, None, sent_at=3, acknowledged_at=4)
    assert row.options(2.5, 3.5) == [OLD, None]
    assert row.options(5, 6) == [None]


def test_a_comment_goes_with_its_post() -> None:
    journal = Journal()
    post = write(journal, OLD, sent_at=1, acknowledged_at=2)
    comment = write(journal, NEW, sent_at=3, acknowledged_at=4, parent=post, mark="comment")
    assert comment.options(4.5, 5) == [NEW]
    write(journal, None, sent_at=6, acknowledged_at=7)
    assert comment.options(5, 6.5) == [NEW, None]
    assert comment.options(8, 9) == [None]


def test_alive_are_the_rows_that_must_be_there() -> None:
    journal = Journal()
    row = write(journal, OLD, sent_at=1, acknowledged_at=2)
    assert list(journal.alive("post", 1.5)) == []
    assert list(journal.alive("post", 3)) == [row]
    assert list(journal.alive("post", 3, lambda each: each.id == 8)) == []
    write(journal, None, sent_at=4, acknowledged_at=None)
    assert list(journal.alive("post", 5)) == []


def test_rows_are_found_by_their_id_and_by_their_mark() -> None:
    journal = Journal()
    row = write(journal, OLD, sent_at=1, acknowledged_at=2)
    assert journal.find("post", 7) is row
    assert journal.find("comment", 7) is None
    assert journal.marked("post", "fig") is row


def test_facts_agree_where_they_are_shown() -> None:
    assert agrees(OLD, {"id": 7, "title": "fig"})
    assert not agrees(OLD, {"id": 7, "title": "fig", "body": "new"})
