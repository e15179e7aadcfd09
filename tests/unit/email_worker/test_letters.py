"""What people read: the monolith's English to the letter, and Korean."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from typing import cast

import pytest

from extracted.chassis.events.payloads import PaymentCompleted, Person, PostCreated
from extracted.email_worker.letters import payment_completed, post_created
from extracted.email_worker.money import printed
from monolith.clock import utc_now
from monolith.mail import messages
from monolith.models import Payment, Post, User

MINA = Person(id=7, name="미나", email="mina@example.org", language="ko")


def ann(name: str = "Ann", language: str = "en") -> Person:
    return Person(id=1, name=name, email="ann@example.org", language=language)


def read(message: Message) -> EmailMessage:
    return cast("EmailMessage", message_from_bytes(message.as_bytes(), policy=default))


@pytest.mark.parametrize(
    "title", ["Hello", "첫 글 {name} %s", "<b>\r\n two\tlines </b>", "x" * 200]
)
@pytest.mark.parametrize("name", ["Ann", "Zoë {title} O'Neil <zoe>"])
def test_a_post_is_announced_as_the_monolith_does(title: str, name: str) -> None:
    author = User(id=1, email="ann@example.org", name=name, password_hash="", created_at=utc_now())
    before = read(messages.post_created(Post(id=5, author=author, title=title, body="b")))
    letter = post_created(PostCreated(post_id=5, title=title, author=ann(name)))
    assert letter.subject == before["Subject"]
    text = "\n\n".join(letter.paragraphs) + "\n"
    assert text.splitlines() == before.get_body(("plain",)).get_content().splitlines()


@pytest.mark.parametrize(("amount", "currency"), [(1999, "usd"), (12000, "krw"), (1230, "kwd")])
def test_a_receipt_reads_as_the_monoliths(amount: int, currency: str) -> None:
    payment = Payment(id=3, amount=amount, currency=currency, stripe_id="pi_1")
    before = read(messages.payment_completed(payment, "ann@example.org", "Ann"))
    letter = payment_completed(
        PaymentCompleted(
            payment_id=3, amount=amount, currency=currency, reference="pi_1", payer=ann()
        )
    )
    assert letter.subject == before["Subject"]
    text = "\n\n".join(letter.paragraphs) + "\n"
    assert text == before.get_body(("plain",)).get_content().replace("\r\n", "\n")


def test_a_post_is_announced_in_korean() -> None:
    letter = post_created(PostCreated(post_id=5, title="첫 글", author=MINA))
    assert letter.language == "ko"
    assert letter.subject == "글이 게시되었습니다: 첫 글"
    assert letter.paragraphs == (
        "안녕하세요, 미나 님.",
        "작성하신 글 “첫 글”의 게시가 완료되었습니다. 글 주소는 /posts/5입니다.",
    )


def test_a_receipt_in_korean() -> None:
    letter = payment_completed(
        PaymentCompleted(payment_id=3, amount=12000, currency="krw", reference="pi_1", payer=MINA)
    )
    assert letter.subject == "결제 영수증: 12,000원"
    assert letter.paragraphs == (
        "안녕하세요, 미나 님.",
        "12,000원 결제가 완료되었습니다.",
        "결제 번호는 3, 참조 번호는 pi_1입니다.",
    )


@pytest.mark.parametrize(
    ("language", "written"),
    [("en", "en"), ("ko", "ko"), ("ko-KR", "ko"), ("KO", "ko"), ("fr", "en"), ("", "en")],
)
def test_who_reads_neither_gets_english(language: str, written: str) -> None:
    person = ann(language=language)
    assert post_created(PostCreated(post_id=5, title="t", author=person)).language == written


@pytest.mark.parametrize(
    ("amount", "currency", "language", "told"),
    [
        (1999, "usd", "en", "19.99 USD"),
        (1999, "usd", "ko", "19.99 USD"),
        (5, "eur", "en", "0.05 EUR"),
        (500, "jpy", "ko", "500 JPY"),
        (12000, "krw", "en", "12000 KRW"),
        (12000, "krw", "ko", "12,000원"),
        (1230, "kwd", "en", "1.230 KWD"),
        (1000, "isk", "en", "10.00 ISK"),
        (0, "krw", "ko", "0원"),
    ],
)
def test_amounts_are_printed_as_the_currency_counts(
    amount: int, currency: str, language: str, told: str
) -> None:
    assert printed(amount, currency, language) == told
