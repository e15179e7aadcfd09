"""What the blog writes to its users, as text and as HTML. Sends nothing."""

from __future__ import annotations

from email.message import EmailMessage
from html import escape

from monolith.models import Payment, Post
from monolith.payments.money import printed


def post_created(post: Post) -> EmailMessage:
    """To the author: the post is there."""
    return _message(
        post.author.email,
        f"Published: {post.title}",
        [
            f"Hello {post.author.name},",
            f"your post “{post.title}” is published as /posts/{post.id}.",
        ],
    )


def payment_completed(payment: Payment, email: str, name: str) -> EmailMessage:
    """To the payer: the receipt."""
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


def _message(to: str, subject: str, paragraphs: list[str]) -> EmailMessage:
    message = EmailMessage()
    message["To"] = to
    # A subject is one line, whatever a title holds.
    message["Subject"] = " ".join(subject.split())
    message.set_content("\n\n".join(paragraphs) + "\n")
    html = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    message.add_alternative(f"<!doctype html>\n<html><body>\n{html}\n</body></html>\n", "html")
    return message
