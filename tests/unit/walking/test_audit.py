"""The audit is only worth something if it catches each kind of broken promise."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from scripts.walking.audit import (
    Charge,
    Finding,
    Letter,
    audit_charges,
    audit_letters,
    audit_rows,
)
from scripts.walking.journal import Facts, Journal, Row


class Books:
    """A journal as clients would have filled it; time goes on with every write."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.now = 0.0

    def write(self, kind: str, mark: str, identifier: Any, facts: Facts | None) -> Row:
        row, change = self._send(kind, mark, facts)
        self.journal.acknowledge(row, change, identifier, self.now)
        return row

    def doubt(self, kind: str, mark: str, facts: Facts | None) -> Row:
        return self._send(kind, mark, facts)[0]

    def refuse(self, kind: str, mark: str, facts: Facts) -> None:
        self.journal.refuse(self._send(kind, mark, facts)[1])

    def _send(self, kind: str, mark: str, facts: Facts | None) -> Any:
        self.now += 1
        return self.journal.send(kind, mark, facts, self.now)


def post(title: str = "fig", body: str = "text", author_id: int = 1) -> dict[str, Any]:
    return {"title": title, "body": body, "author_id": author_id}


def kinds(findings: Iterable[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def audit_posts(books: Books, *held: Facts) -> list[str]:
    rows = books.journal.rows("post")
    return kinds(audit_rows("database", rows, held, "title"))


@pytest.fixture
def books() -> Books:
    return Books()


def test_rows_as_promised_are_no_finding(books: Books) -> None:
    books.write("post", "fig", 1, post())
    assert audit_posts(books, {"id": 1, **post(), "created_at": "now"}) == []


def test_a_lost_post_is_found(books: Books) -> None:
    books.write("post", "fig", 1, post())
    assert audit_posts(books) == ["lost"]


def test_a_stale_edit_is_found(books: Books) -> None:
    books.write("post", "fig", 1, post())
    books.write("post", "fig", 1, post(body="edited"))
    assert audit_posts(books, {"id": 1, **post()}) == ["wrong"]
    assert audit_posts(books, {"id": 1, **post(body="edited")}) == []


def test_a_post_that_came_back_after_its_deletion_is_found(books: Books) -> None:
    books.write("post", "fig", 1, post())
    books.write("post", "fig", 1, None)
    assert audit_posts(books) == []
    assert audit_posts(books, {"id": 1, **post()}) == ["unexpected"]


def test_a_request_that_was_carried_out_twice_is_found(books: Books) -> None:
    books.write("post", "fig", 1, post())
    assert audit_posts(books, {"id": 1, **post()}, {"id": 2, **post()}) == ["duplicated"]


def test_a_row_that_no_client_wrote_is_found(books: Books) -> None:
    books.write("post", "fig", 1, post())
    strange = {"id": 2, **post(title="strange")}
    assert audit_posts(books, {"id": 1, **post()}, strange) == ["unexpected"]


def test_a_row_listed_twice_is_found(books: Books) -> None:
    books.write("post", "fig", 1, post())
    assert audit_posts(books, {"id": 1, **post()}, {"id": 1, **post()}) == ["duplicated"]


def test_a_refused_write_that_took_effect_is_found(books: Books) -> None:
    books.refuse("post", "fig", post())
    assert audit_posts(books, {"id": 1, **post()}) == ["unexpected"]


def test_a_write_in_doubt_may_be_there_once_or_not_at_all(books: Books) -> None:
    books.doubt("post", "fig", post())
    assert audit_posts(books) == []
    assert audit_posts(books, {"id": 1, **post()}) == []
    assert audit_posts(books, {"id": 1, **post()}, {"id": 2, **post()}) == ["duplicated"]


def test_an_edit_in_doubt_may_show_either_value_but_no_third(books: Books) -> None:
    books.write("post", "fig", 1, post())
    books.doubt("post", "fig", post(body="edited"))
    assert audit_posts(books, {"id": 1, **post()}) == []
    assert audit_posts(books, {"id": 1, **post(body="edited")}) == []
    assert audit_posts(books, {"id": 1, **post(body="else")}) == ["wrong"]


def test_where_no_mark_is_shown_as_many_strange_rows_are_allowed_as_are_in_doubt(
    books: Books,
) -> None:
    books.write("image", "one", "a.jpg", {"problem": None})
    books.doubt("image", "two", {"problem": None})
    rows = books.journal.rows("image")
    held = [{"id": "a.jpg", "problem": None}, {"id": "b.jpg", "problem": None}]
    assert kinds(audit_rows("bucket", rows, held, None)) == []
    held.append({"id": "c.jpg", "problem": None})
    assert kinds(audit_rows("bucket", rows, held, None)) == ["unexpected"]


def test_a_picture_that_became_another_one_is_found(books: Books) -> None:
    books.write("image", "one", "a.jpg", {"problem": None})
    held = [{"id": "a.jpg", "problem": "it shows another photograph"}]
    assert kinds(audit_rows("bucket", books.journal.rows("image"), held, None)) == ["wrong"]


CHARGE = Charge("pi_1", 500, "eur", True, "9")


def payment(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    facts = {"user_id": 1, "amount": 500, "currency": "eur", "status": status}
    return {**facts, "stripe_id": "pi_1", **more}


def audit_money(books: Books, *charges: Charge) -> list[str]:
    return kinds(audit_charges(books.journal.rows("payment"), charges))


def test_a_payment_charged_once_is_no_finding(books: Books) -> None:
    books.write("payment", "key", 9, payment())
    assert audit_money(books, CHARGE) == []


def test_a_payment_that_was_never_charged_is_found(books: Books) -> None:
    books.write("payment", "key", 9, payment())
    assert audit_money(books) == ["lost"]
    assert audit_money(books, replace(CHARGE, paid=False)) == ["lost"]


@pytest.mark.parametrize("intent", ["pi_1", "pi_2"])
def test_a_double_charge_is_found(books: Books, intent: str) -> None:
    books.write("payment", "key", 9, payment())
    assert audit_money(books, CHARGE, replace(CHARGE, intent=intent)) == ["duplicated"]


def test_a_charge_of_another_amount_is_found(books: Books) -> None:
    books.write("payment", "key", 9, payment())
    assert audit_money(books, replace(CHARGE, amount=501)) == ["wrong"]


def test_a_charge_that_nobody_was_promised_is_found(books: Books) -> None:
    assert audit_money(books, CHARGE) == ["unexpected"]


def test_a_declined_card_must_not_have_been_charged(books: Books) -> None:
    books.write("payment", "key", 9, payment("failed"))
    assert audit_money(books, replace(CHARGE, paid=False)) == []
    assert audit_money(books, CHARGE) == ["duplicated"]


def test_a_payment_in_doubt_may_have_been_charged_once(books: Books) -> None:
    books.doubt("payment", "key", payment())
    assert audit_money(books, CHARGE) == []
    assert audit_money(books, CHARGE, replace(CHARGE, intent="pi_2")) == ["unexpected"]


POSTED = Letter("ann@example.org", "Published: fig", "Hello, it is published as /posts/1.")
RECEIPT = Letter("ann@example.org", "Receipt for 5.00 EUR", "Payment 9, reference pi_1.")


def audit_mail(books: Books, *letters: Letter, again: int = 0) -> list[str]:
    posts, payments, users = (books.journal.rows(kind) for kind in ("post", "payment", "user"))
    return kinds(audit_letters(posts, payments, users, letters, again))


@pytest.fixture
def busy(books: Books) -> Books:
    books.write("user", "ann@example.org", 1, {"name": "Ann"})
    books.write("post", "fig", 1, post())
    books.write("payment", "key", 9, payment())
    return books


def test_one_mail_for_each_post_and_payment_is_no_finding(busy: Books) -> None:
    assert audit_mail(busy, POSTED, RECEIPT) == []


def test_a_deleted_post_has_had_its_mail_as_well(busy: Books) -> None:
    busy.write("post", "fig", 1, None)
    assert audit_mail(busy, RECEIPT) == ["lost"]


@pytest.mark.parametrize(("letters", "found"), [((RECEIPT,), "lost"), ((POSTED,), "lost")])
def test_a_mail_that_did_not_come_is_found(
    busy: Books, letters: tuple[Letter, ...], found: str
) -> None:
    assert audit_mail(busy, *letters) == [found]


def test_a_mail_that_came_twice_is_found(busy: Books) -> None:
    assert audit_mail(busy, POSTED, RECEIPT, POSTED) == ["duplicated"]


def test_a_mail_that_came_again_is_none_if_its_worker_was_killed_and_its_message_id_says_so(
    busy: Books,
) -> None:
    posted, again = replace(POSTED, message_id="<1@x>"), replace(POSTED, message_id="<2@x>")
    assert audit_mail(busy, posted, posted, RECEIPT, again=1) == []
    assert audit_mail(busy, posted, posted, posted, RECEIPT, again=1) == ["duplicated"]
    assert audit_mail(busy, posted, posted, RECEIPT, again=0) == ["duplicated"]
    assert audit_mail(busy, posted, again, RECEIPT, again=1) == ["duplicated"]
    assert audit_mail(busy, POSTED, POSTED, RECEIPT, again=1) == ["duplicated"]


def test_a_mail_to_somebody_else_is_found(busy: Books) -> None:
    wrong = replace(POSTED, to="bob@example.org")
    assert sorted(audit_mail(busy, wrong, RECEIPT)) == ["lost", "unexpected"]


def test_post_1_is_not_taken_for_post_11(busy: Books) -> None:
    wrong = replace(POSTED, text="published as /posts/11.")
    assert sorted(audit_mail(busy, wrong, RECEIPT)) == ["lost", "unexpected"]


def test_the_mail_of_a_post_in_doubt_may_have_come(busy: Books) -> None:
    busy.doubt("post", "moss", post("moss"))
    mossy = Letter("ann@example.org", "Published: moss", "published as /posts/2.")
    assert audit_mail(busy, POSTED, RECEIPT, mossy) == []
