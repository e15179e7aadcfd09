"""Letters in the form of mail: read back whole by a mail program's rules, whatever they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.policy import default
from email.utils import getaddresses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extracted.chassis.events import NeverError
from extracted.chassis.events.payloads import Person, PostCreated
from extracted.email_worker.letters import post_created
from extracted.email_worker.messages import composed, message_id

SENDER = "blog@example.org"
DATE = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="가나다 한글 제목", max_size=200),
    st.text(alphabet='ab ,"\\()<>@.;:é=?_\r\n\t\0\x1b', max_size=200),
    st.text(alphabet="x", min_size=900, max_size=1200),
)


def sent(
    title: str = "Hello",
    name: str = "Ann",
    *,
    email: str = "ann@example.org",
    language: str = "en",
    event_id: str = "e-1",
) -> bytes:
    author = Person(id=1, name=name, email=email, language=language)
    letter = post_created(PostCreated(post_id=5, title=title, author=author))
    return composed(letter, sender=SENDER, event_id=event_id, date=DATE)


def read(header: str) -> str:
    """A header as a mail program shows it (RFC 2047)."""
    return str(make_header(decode_header(header.replace("\r\n", ""))))


def parts(raw: bytes) -> tuple[str, str]:
    message = message_from_bytes(raw, policy=default)
    plain, html = message.iter_parts()
    assert (plain.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    texts = plain.get_content(), html.get_content()
    assert all(text.count("\n") == text.count("\r\n") for text in texts)
    return texts[0].replace("\r\n", "\n"), texts[1].replace("\r\n", "\n")


def test_a_mail_is_whole() -> None:
    message = message_from_bytes(sent(), policy=default)
    assert message["From"] == SENDER
    assert message["To"] == "Ann <ann@example.org>"
    assert message["Subject"] == "Published: Hello"
    assert message["Date"] == "Sat, 31 Jan 2026 09:30:00 +0000"
    assert message["Message-ID"] == "<e-1@example.org>"
    assert message["Content-Language"] == "en"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    assert parts(sent()) == (
        "Hello Ann,\n\nyour post “Hello” is published as /posts/5.\n",
        '<!doctype html>\n<html lang="en"><body>\n<p>Hello Ann,</p>\n'
        "<p>your post “Hello” is published as /posts/5.</p>\n</body></html>\n",
    )


def test_a_korean_mail_says_so_and_is_read_as_it_was_written() -> None:
    raw = sent("첫 글", "김미나", language="ko")
    assert raw.isascii()
    message = message_from_bytes(raw, policy=default)
    assert message["Subject"] == "글이 게시되었습니다: 첫 글"
    assert message["To"].addresses[0].display_name == "김미나"
    assert message["To"].addresses[0].addr_spec == "ann@example.org"
    assert message["Content-Language"] == "ko"
    plain, html = parts(raw)
    assert plain.startswith("안녕하세요, 김미나 님.\n\n작성하신 글 “첫 글”의")
    assert '<html lang="ko">' in html


def test_a_name_and_a_title_are_text_and_no_markup() -> None:
    plain, html = parts(sent("<script>alert(1)</script>", "<b>&\"'</b>"))
    assert "<script>" in plain
    assert "<b>&\"'</b>" in plain
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;&amp;&quot;&#x27;&lt;/b&gt;" in html


@settings(deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(["en", "ko"]))
def test_whatever_a_title_and_a_name_hold_they_stay_in_their_places(
    title: str, name: str, language: str
) -> None:
    raw = sent(title, name, language=language)
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    message: Message = message_from_bytes(raw)
    assert message.keys() == [
        *("Content-Type", "MIME-Version", "From", "To", "Subject", "Date", "Message-ID"),
        *("Content-Language", "Auto-Submitted"),
    ]
    prefix = {"en": "Published: ", "ko": "글이 게시되었습니다: "}[language]
    assert read(message["Subject"]) == " ".join(f"{prefix}{title}".split())
    ((shown, address),) = getaddresses([message["To"].replace("\r\n", "")])
    assert address == "ann@example.org"
    assert read(shown) == " ".join(name.split())
    assert len(message.get_payload()) == 2


@pytest.mark.parametrize(
    "address",
    [
        *("", "ann", "@example.org", "ann@", "ann@example.org\r\nBcc: bob@example.org"),
        *("ann@example.org>", "a b@example.org", "ann@example.org,bob@example.org"),
        *("zoë@example.org", "<ann@example.org>", "ann@example.org SIZE=1"),
    ],
)
def test_an_address_that_no_mail_can_be_sent_to_is_given_up_and_not_told(address: str) -> None:
    with pytest.raises(NeverError) as caught:
        sent(email=address)
    assert not address or address not in str(caught.value)


def test_the_same_event_has_the_same_message_id_and_another_has_another() -> None:
    assert message_id("e-1", SENDER) == message_id("e-1", SENDER) == "<e-1@example.org>"
    assert message_id("e-2", SENDER) != message_id("e-1", SENDER)


def test_an_odd_event_id_cannot_leave_its_header() -> None:
    assert message_id("a>\r\nBcc: b@c", SENDER) == "<a%3E%0D%0ABcc%3A%20b%40c@example.org>"
