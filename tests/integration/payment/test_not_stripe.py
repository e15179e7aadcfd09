"""What answers in Stripe's place, such as a proxy, settles no payment: the service's and the blog's
charger take only Stripe's own words."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import monolith.payments.charging as blogs
from extracted.chassis.clock import utc_now
from extracted.payment import charging, stripe_charger

CHARGE = {"amount": 1999, "currency": "usd", "payment_method": "pm_card_visa", "key": "k"}
ODD = [
    (200, "{}"),
    (200, "[]"),
    (200, "null"),
    (200, '"yes"'),
    (204, ""),
    (302, ""),
    (400, '{"error": "no"}'),
    (400, '{"error": {}}'),
    (402, '{"error": {}}'),
    (402, '{"error": {"message": "Please pay for this proxy."}}'),
    (404, '{"error": {"type": "invalid_request_error"}}'),
    (407, ""),
    (500, "null"),
]
odd = pytest.mark.parametrize(("status", "body"), ODD)


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST  # noqa: N815 (http.server's name)

        def log_message(self, *_arguments: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def unknown(ask: Callable[[], object], *errors: type[Exception]) -> None:
    with pytest.raises(errors) as caught:
        ask()
    assert caught.value.reached  # type: ignore[attr-defined]


@odd
def test_an_answer_that_is_not_stripes_leaves_the_services_payment_open(
    status: int, body: str
) -> None:
    charge = charging.Charge(**CHARGE, metadata={"payment_id": "1"})  # type: ignore[arg-type]
    with (
        answering(status, body) as url,
        closing(stripe_charger.StripeCharger("sk_test_x", url, timeout_s=5)) as charger,
    ):
        for ask in (
            lambda: charger.charge(charge),
            lambda: charger.look_up(charge, "pi_1"),
            lambda: charger.find(charge, utc_now()),
        ):
            unknown(ask, charging.UnknownOutcomeError)


@odd
def test_an_answer_that_is_not_stripes_leaves_the_blogs_payment_open(
    status: int, body: str
) -> None:
    with (
        answering(status, body) as url,
        closing(blogs.StripeCharger("sk_test_x", url, timeout_s=5)) as charger,
    ):
        charge = blogs.Charge(**CHARGE)  # type: ignore[arg-type]
        unknown(lambda: charger.charge(charge), blogs.UnknownOutcomeError)


def test_a_charge_whose_last_error_has_no_code_was_declined() -> None:
    charge = charging.Charge(**CHARGE)  # type: ignore[arg-type]
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 1999,
        "currency": "usd",
        "status": "requires_payment_method",
        "metadata": {},
        "last_payment_error": {"type": "card_error"},
    }
    with (
        answering(200, json.dumps(intent)) as url,
        closing(stripe_charger.StripeCharger("sk_test_x", url, timeout_s=5)) as charger,
    ):
        outcome = charger.look_up(charge, "pi_1")
    assert isinstance(outcome, charging.Refused)
    assert (outcome.declined, outcome.code) == (True, "card_declined")
