"""What is written to people, in their language. Pure: names and titles go in as they are.

The English is to the letter what the monolith wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

from extracted.chassis.events.payloads import PaymentCompleted, Person, PostCreated
from extracted.email_worker.money import printed

DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Letter:
    """One text to one person; `language` is that of the text. The subject is one line."""

    to: Person
    language: str
    subject: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Wording:
    subject: str
    paragraphs: tuple[str, ...]


# Korean is worded so that no particle hangs on a name, a title or a number: which one it would be
# depends on how these end when they are spoken.
POST_CREATED = {
    "en": _Wording(
        "Published: {title}",
        ("Hello {name},", "your post “{title}” is published as /posts/{post_id}."),
    ),
    "ko": _Wording(
        "글이 게시되었습니다: {title}",
        (
            "안녕하세요, {name} 님.",
            "작성하신 글 “{title}”의 게시가 완료되었습니다. 글 주소는 /posts/{post_id}입니다.",
        ),
    ),
}
PAYMENT_COMPLETED = {
    "en": _Wording(
        "Receipt for {amount}",
        (
            "Hello {name},",
            "we have received your payment of {amount}.",
            "Payment {payment_id}, reference {reference}.",
        ),
    ),
    "ko": _Wording(
        "결제 영수증: {amount}",
        (
            "안녕하세요, {name} 님.",
            "{amount} 결제가 완료되었습니다.",
            "결제 번호는 {payment_id}, 참조 번호는 {reference}입니다.",
        ),
    ),
}


def post_created(payload: PostCreated) -> Letter:
    """To the author: the post is there."""
    return _written(POST_CREATED, payload.author, title=payload.title, post_id=payload.post_id)


def payment_completed(payload: PaymentCompleted) -> Letter:
    """To the payer: the receipt."""
    return _written(
        PAYMENT_COMPLETED,
        payload.payer,
        amount=printed(payload.amount, payload.currency, _language(payload.payer)),
        payment_id=payload.payment_id,
        reference=payload.reference,
    )


def _written(wordings: dict[str, _Wording], to: Person, **facts: str | int) -> Letter:
    language = _language(to)
    wording = wordings[language]
    facts["name"] = to.name
    # A subject is one line, whatever a title holds.
    subject = " ".join(wording.subject.format(**facts).split())
    return Letter(to, language, subject, tuple(each.format(**facts) for each in wording.paragraphs))


def _language(person: Person) -> str:
    """The language to write in: by the first part of a tag such as ko-KR (BCP 47, 2.1)."""
    wanted = person.language.partition("-")[0].lower()
    return wanted if wanted in POST_CREATED else DEFAULT_LANGUAGE
