"""The routes of payments: they translate between HTTP and `paying`."""

from __future__ import annotations

import re

from flask import Blueprint, Request, Response, jsonify, request

from monolith.auth.accounts import of_token
from monolith.auth.tokens import Tokens
from monolith.clock import rfc3339
from monolith.db import Database
from monolith.errors import ApiError
from monolith.inputs import json_fields, page, row_id
from monolith.mail import messages
from monolith.mail.mailer import Mailer
from monolith.models import Payment
from monolith.payments import money, paying
from monolith.payments.paying import Order, Payments

KEY = re.compile(r"[\x21-\x7e]{1,255}")
CURRENCY = re.compile(r"[a-z]{3}")
PAYMENT_METHOD = re.compile(r"[A-Za-z0-9_]{1,100}")


def blueprint(database: Database, tokens: Tokens, payments: Payments, mailer: Mailer) -> Blueprint:
    """Build the routes over these parts."""
    routes = Blueprint("payments", __name__)

    @routes.post("/payment")
    def pay() -> tuple[Response, int]:
        caller = tokens.require(request)
        order = _order(request, caller.user_id)
        user = of_token(database.session(), caller.user_id)
        database.session().commit()  # hold no connection while Stripe thinks
        paid = payments.pay(database.session(), order)
        if paid.first and paid.payment.status == "succeeded":
            mailer.send(lambda: messages.payment_completed(paid.payment, user.email, user.name))
        return jsonify(_payment(paid.payment)), 201

    @routes.get("/payments")
    def index() -> Response:
        caller = tokens.require(request)
        window = page(request.args)
        found = paying.all_own(database.session(), caller.user_id, window)
        return jsonify(
            payments=[_payment(payment) for payment in found],
            page=window.number,
            per_page=window.size,
        )

    @routes.get("/payments/<int:payment_id>")
    def show(payment_id: int) -> Response:
        caller = tokens.require(request)
        number = row_id(payment_id, "payment")
        return jsonify(_payment(paying.own(database.session(), caller.user_id, number)))

    return routes


def _key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        message = "Send an Idempotency-Key header: 1 to 255 visible ASCII characters, no spaces."
        raise ApiError(400, "idempotency_key_missing", message)
    if not KEY.fullmatch(key):
        message = "An Idempotency-Key has 1 to 255 visible ASCII characters and no spaces."
        raise ApiError(400, "idempotency_key_invalid", message)
    return key


def _order(request: Request, user_id: int) -> Order:
    key = _key(request)
    fields = json_fields(request)
    amount = fields.whole("amount", least=1, most=money.MAX_AMOUNT)
    currency = fields.text("currency", most=3, strip=True).lower()
    method = fields.text("payment_method", most=100)
    if currency and not CURRENCY.fullmatch(currency):
        fields.wrong("currency", "must be a three-letter currency code")
    elif amount % money.step(currency):
        fields.wrong("amount", f"must be a multiple of {money.step(currency)} in this currency")
    if method and not PAYMENT_METHOD.fullmatch(method):
        fields.wrong("payment_method", "is not a payment method's id")
    fields.check()
    return Order(user_id, key, amount, currency, method)


def _payment(payment: Payment) -> dict[str, object]:
    return {
        "id": payment.id,
        "status": payment.status,
        "amount": payment.amount,
        "currency": payment.currency,
        "stripe_id": payment.stripe_id,
        "created_at": rfc3339(payment.created_at),
    }
