"""The service's routes: they translate between HTTP and `service`."""

from __future__ import annotations

import re

from flask import Blueprint, Request, Response, jsonify, request

from extracted.chassis.clock import rfc3339
from extracted.chassis.database import MAX_ID
from extracted.chassis.errors import Refusal, answer, not_found
from extracted.chassis.events.payloads import Person
from extracted.chassis.inputs import json_fields, page, row_id
from extracted.chassis.languages import language
from extracted.chassis.tokens import INVALID, Caller, TokenVerifier, unauthorized
from extracted.payment import money, service
from extracted.payment.service import (
    NotPaidError,
    Order,
    Payment,
    Payments,
    RefusedError,
    Repository,
)

KEY = re.compile(r"[\x21-\x7e]{1,255}")
CURRENCY = re.compile(r"[a-z]{3}")
PAYMENT_METHOD = re.compile(r"[A-Za-z0-9_]{1,100}")
STATUS = {
    service.IN_PROGRESS: 409,
    service.UNRESOLVED: 409,
    service.KEY_REUSED: 409,
    service.PROVIDER_ERROR: 502,
    service.PROVIDER_AWAY: 503,
}


def blueprint(tokens: TokenVerifier, repository: Repository, payments: Payments) -> Blueprint:
    """Build the routes over these parts."""
    routes = Blueprint("payment", __name__)

    @routes.post("/payment")
    def pay() -> tuple[Response, int]:
        caller = tokens.require(request)
        order = _order(request, caller.user_id)
        payment = payments.pay(order, _payer(caller, request))
        return jsonify(_told(payment)), 201

    @routes.get("/payments")
    def index() -> Response:
        caller = tokens.require(request)
        window = page(request.args)
        found = repository.all_own(caller.user_id, window.offset, window.size)
        told = [_told(payment) for payment in found]
        return jsonify(payments=told, page=window.number, per_page=window.size)

    @routes.get("/payments/<int:payment_id>")
    def show(payment_id: int) -> Response:
        caller = tokens.require(request)
        payment = repository.own(caller.user_id, row_id(payment_id, "payment"))
        if payment is None:
            raise not_found("payment")
        return jsonify(_told(payment))

    @routes.errorhandler(RefusedError)
    def refused(error: RefusedError) -> Response:
        return answer(Refusal(**error.refusal))

    @routes.errorhandler(NotPaidError)
    def not_paid(error: NotPaidError) -> Response:
        wait_s = error.retry_after_s
        headers = {} if wait_s is None else {"Retry-After": str(wait_s)}
        refusal = Refusal(STATUS[error.code], error.code, str(error), headers=headers)
        refusal.__cause__ = error.__cause__  # what the log says; the client is told less
        return answer(refusal)

    return routes


def _key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        message = "Send an Idempotency-Key header: 1 to 255 visible ASCII characters, no spaces."
        raise Refusal(400, "idempotency_key_missing", message)
    if not KEY.fullmatch(key):
        message = "An Idempotency-Key has 1 to 255 visible ASCII characters and no spaces."
        raise Refusal(400, "idempotency_key_invalid", message)
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


def _payer(caller: Caller, request: Request) -> Person:
    """Whom the receipt goes to. A token that leads to nobody's address is of no account."""
    if not caller.email or not 1 <= caller.user_id <= MAX_ID:
        raise unauthorized(INVALID)
    return Person(
        id=caller.user_id, name=caller.name, email=caller.email, language=language(request)
    )


def _told(payment: Payment) -> dict[str, object]:
    return {
        "id": payment.id,
        "status": payment.status,
        "amount": payment.order.amount,
        "currency": payment.order.currency,
        "stripe_id": payment.stripe_id,
        "created_at": rfc3339(payment.created_at),
    }
