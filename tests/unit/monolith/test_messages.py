"""Mails of the monolith, read back by a mail program's rules, whatever titles and names hold."""

from __future__ import annotations

from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.policy import default
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monolith.clock import utc_now
from monolith.mail.messages import payment_completed, post_created
from monolith.models import Payment, Post, User

TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="가나다 한글 제목", max_size=200),
    st.text(alphabet='ab ,"\\()<>@.;:é=?_\r\n\t\0\x1b', max_size=200),
    st.text(alphabet="x", min_size=900, max_size=1200),
)


def post(title: str, name: str = "Ann", email: str = "ann@example.org") -> Post:
    author = User(id=1, email=email, name=name, password_hash="", created_at=utc_now())
    return Post(id=7, author=author, title=title, body="b")


def read(message: Message) -> EmailMessage:
    return cast("EmailMessage", message_from_bytes(message.as_bytes(), policy=default))


def test_a_title_cannot_add_headers_or_markup() -> None:
    message = read(post_created(post("Hi\r\nBcc: everyone@example.org <script>", "<b>Ann</b>")))
    assert message["Bcc"] is None
    assert message["Subject"] == "Published: Hi Bcc: everyone@example.org <script>"
    html = message.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "&lt;b&gt;Ann" in html
    assert "<b>Ann" in message.get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    "title",
    [
        "=?utf-8?q?=0D=0AReply-To:_evil@x.y=0D=0A=0D=0A<h1>Pay</h1>?=",
        "\u202e=?us-ascii?q?=ff?=",
        "=?us-ascii?q?=ff?= " + "x" * 80,
        "é =?us-ascii?q?=ff?=",
        "한글 =?utf-8?q?=ff?=",
    ],
)
def test_what_looks_like_an_encoded_word_is_text(title: str) -> None:
    message = message_from_bytes(post_created(post(title)).as_bytes())
    assert message.keys() == ["Content-Type", "MIME-Version", "To", "Subject"]
    assert str(make_header(decode_header(message["Subject"]))) == f"Published: {title}"
    assert "Hello Ann" in message.get_payload(0).get_payload(decode=True).decode()


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_whatever_a_title_and_a_name_hold_they_stay_in_their_places(title: str, name: str) -> None:
    raw = post_created(post(title, name)).as_bytes()
    assert all(len(line) <= 998 for line in raw.split(b"\n"))
    message: Message = message_from_bytes(raw)
    assert message.keys() == ["Content-Type", "MIME-Version", "To", "Subject"]
    shown = str(make_header(decode_header(message["Subject"].replace("\n", ""))))
    assert shown == " ".join(f"Published: {title}".split())
    assert len(message.get_payload()) == 2


@pytest.mark.parametrize(
    "address", ["x,victim@corp.example", ":;@example.org", '"a"@example.org', "a\n@example.org"]
)
def test_a_recipient_that_is_no_single_address_gets_no_mail(address: str) -> None:
    """An account may be older than the rule that its address is one."""
    with pytest.raises(ValueError, match="no address that mail can be sent to"):
        post_created(post("Hi", email=address))


def test_an_address_is_not_read_as_an_encoded_word() -> None:
    message = post_created(post("Hi", email="=?utf-8?q?=0A?=@example.org"))
    assert b"\nTo: =?utf-8?q?=0A?=@example.org\n" in message.as_bytes()


def test_a_receipt_tells_the_amount_as_people_write_it() -> None:
    payment = Payment(id=3, amount=500, currency="jpy", stripe_id="pi_1")
    message = read(payment_completed(payment, "ann@example.org", "Ann"))
    assert message["Subject"] == "Receipt for 500 JPY"
    assert "pi_1" in message.get_body(("plain",)).get_content()
