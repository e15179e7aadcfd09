from __future__ import annotations

from monolith.clock import utc_now
from monolith.mail.messages import payment_completed, post_created
from monolith.models import Payment, Post, User


def post(title: str, name: str = "Ann") -> Post:
    author = User(id=1, email="ann@example.org", name=name, password_hash="", created_at=utc_now())
    return Post(id=7, author=author, title=title, body="b")


def test_a_title_cannot_add_headers_or_markup() -> None:
    message = post_created(post("Hi\r\nBcc: everyone@example.org <script>", "<b>Ann</b>"))
    assert message["Bcc"] is None
    assert message["Subject"] == "Published: Hi Bcc: everyone@example.org <script>"
    html = message.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "&lt;b&gt;Ann" in html
    assert "<b>Ann" in message.get_body(("plain",)).get_content()


def test_a_receipt_tells_the_amount_as_people_write_it() -> None:
    payment = Payment(id=3, amount=500, currency="jpy", stripe_id="pi_1")
    message = payment_completed(payment, "ann@example.org", "Ann")
    assert message["Subject"] == "Receipt for 500 JPY"
    assert "pi_1" in message.get_body(("plain",)).get_content()
