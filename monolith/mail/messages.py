"""What the blog writes to its users, as text and as HTML. Sends nothing.

It is composed with the older half of Python's `email`. `EmailMessage` of 3.11 decodes what only
looks like an encoded word in a title, and writes the line ends that it finds there.
"""

from __future__ import annotations

import re
from email.header import Header
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from html import escape

from monolith.inputs import EMAIL
from monolith.models import Payment, Post
from monolith.payments.money import printed

LONGEST_WORD = 60
LINE_END = re.compile(r"\r\n?|\n")


def post_created(post: Post) -> Message:
    """To the author: the post is there. Raises ValueError for an address that is none."""
    return _message(
        post.author.email,
        f"Published: {post.title}",
        [
            f"Hello {post.author.name},",
            f"your post “{post.title}” is published as /posts/{post.id}.",
        ],
    )


def payment_completed(payment: Payment, email: str, name: str) -> Message:
    """To the payer: the receipt. Raises ValueError for an address that is none."""
    amount = printed(payment.amount, payment.currency)
    return _message(
        email,
        f"Receipt for {amount}",
        [
            f"Hello {name},",
            f"we have received your payment of {amount}.",
            f"Payment {payment.id}, reference {payment.stripe_id}.",
        ],
    )


def _message(to: str, subject: str, paragraphs: list[str]) -> Message:
    if not EMAIL.fullmatch(to):  # of an account from before that was looked at so closely
        raise ValueError(f"{to!r} is no address that mail can be sent to")
    message = MIMEMultipart("alternative")
    message["To"] = to
    # A subject is one line, whatever a title holds.
    message["Subject"] = _encoded(" ".join(subject.split()))
    message.attach(_part("\n\n".join(paragraphs) + "\n", "plain"))
    html = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    message.attach(_part(f"<!doctype html>\n<html><body>\n{html}\n</body></html>\n", "html"))
    return message


def _part(text: str, subtype: str) -> MIMEText:
    # Base64: no line is too long. Text has CRLF inside it, too (RFC 2045, 6.8).
    return MIMEText(LINE_END.sub("\r\n", text), subtype, "utf-8")


def _encoded(text: str) -> str:
    return Header(text, None if _is_plain(text) else "utf-8", header_name="Subject").encode()


def _is_plain(text: str) -> bool:
    """Whether it can stand in a header as it is, and folds: all else goes into encoded words.

    What only looks like an encoded word must be one (RFC 2047).
    """
    printable = text.isascii() and text.isprintable()
    return printable and "=?" not in text and all(len(w) <= LONGEST_WORD for w in text.split(" "))
