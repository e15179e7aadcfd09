"""A local double of Stripe's API: payment intents, charges, and idempotency as Stripe documents it.

The first answer under an Idempotency-Key is saved once execution has begun, errors included, and
given again to the same request with `Idempotent-Replayed: true`; another request under the key is
a 400, one that is still running a 409; parameters that fail validation are not saved.
Source: https://docs.stripe.com/api/idempotent_requests.

Any key that begins with `sk_test_` is an account. `PUT /_double/faults` (see `Faults`) makes the
double slow or faulty; `GET /_double/faults` reads it back. `PUT /_double/payment_intents/<id>` with
`{"paid": true}` or false ends an intent that is processing.
"""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args
from urllib.parse import parse_qsl

from aiohttp import web

from scripts.embedded import stripe_intents
from scripts.embedded.standin import LOOPBACK, announce, read_place, until_told_to_stop
from scripts.embedded.stripe_intents import error
from scripts.embedded.stripe_ledger import Answer, JsonObject, Ledger

MAX_KEY_LENGTH = 255
SEARCHED_AT_MOST = 1000


@dataclass(slots=True)
class Faults:
    """What goes wrong next with `POST /v1/...`.

    `latency_s` delays every answer; the next `fail_next` requests end as `failure` says:
    `error_500` (saved under the key, as Stripe does), `drop_before` (the connection is closed and
    nothing was done) or `drop_after` (charged, and the connection is closed before the answer).
    """

    latency_s: float = 0.0
    fail_next: int = 0
    failure: Literal["error_500", "drop_before", "drop_after"] = "error_500"

    def __post_init__(self) -> None:
        known = get_args(type(self).__annotations__["failure"])
        if self.failure not in known:
            raise ValueError(f"failure is {self.failure!r}; it must be one of {', '.join(known)}")

    def take(self) -> str | None:
        """Return the failure for this request, if it is to have one, and count it."""
        if self.fail_next <= 0:
            return None
        self.fail_next -= 1
        return self.failure


class StripeDouble:
    """The HTTP side: who asks, under which key, and what was answered before."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._faults = Faults()
        self._running: set[tuple[str, str]] = set()

    def application(self) -> web.Application:
        """Return the application that serves this double."""
        application = web.Application()
        application.add_routes(
            [
                web.post("/v1/payment_intents", self._create),
                web.get("/v1/payment_intents", self._list),
                web.get("/v1/payment_intents/search", self._search),
                web.get("/v1/payment_intents/{id}", self._read),
                web.get("/v1/charges", self._list),
                web.get("/v1/charges/{id}", self._read),
                web.get("/_double/faults", self._read_faults),
                web.put("/_double/faults", self._set_faults),
                web.put("/_double/payment_intents/{id}", self._settle),
                web.get("/_double/health", self._health),
                web.route("*", "/{tail:.*}", self._unknown),
            ]
        )
        return application

    async def _create(self, request: web.Request) -> web.StreamResponse:
        account = _account(request)
        if isinstance(account, Answer):
            return _respond(account)
        text = await request.text()
        params = dict(parse_qsl(text, keep_blank_values=True))
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= MAX_KEY_LENGTH:
            message = f"Idempotency-Key must have 1 to {MAX_KEY_LENGTH} characters."
            return _respond(error(400, "invalid_request_error", message), key)
        if key is None:
            return await self._execute(request, params, account, None, "")
        fingerprint = _fingerprint(request, text)
        saved = self._ledger.saved(account, key)
        if saved is not None:
            if saved.fingerprint != fingerprint:
                return _respond(_key_reused(key), key)
            return _respond(saved.answer, key, replayed=True)
        if (account, key) in self._running:
            return _respond(_key_in_use(key), key)
        self._running.add((account, key))
        try:
            return await self._execute(request, params, account, key, fingerprint)
        finally:
            self._running.discard((account, key))

    async def _execute(
        self,
        request: web.Request,
        params: Mapping[str, str],
        account: str,
        key: str | None,
        fingerprint: str,
    ) -> web.StreamResponse:
        refusal = stripe_intents.refuse(params)
        if refusal is not None:
            return _respond(refusal, key)
        failure = self._faults.take()
        if self._faults.latency_s:
            await asyncio.sleep(self._faults.latency_s)
        if failure == "drop_before":
            return _drop(request)
        if failure == "error_500":
            outcome = stripe_intents.Outcome([], error(500, "api_error", "An error was ordered."))
        else:
            outcome = stripe_intents.create(params, int(time.time()), _new_id)
        self._ledger.record(
            outcome.objects, outcome.answer, account=account, key=key, fingerprint=fingerprint
        )
        return _drop(request) if failure == "drop_after" else _respond(outcome.answer, key)

    async def _read(self, request: web.Request) -> web.Response:
        account = _account(request)
        if isinstance(account, Answer):
            return _respond(account)
        kind, identifier = _kind(request), request.match_info["id"]
        found = self._ledger.find(kind, identifier)
        if found is None:
            message = f"No such {kind}: '{identifier}'"
            code = "resource_missing"
            return _respond(error(404, "invalid_request_error", message, code=code, param="id"))
        return _respond(Answer(200, found))

    async def _list(self, request: web.Request) -> web.Response:
        account = _account(request)
        if isinstance(account, Answer):
            return _respond(account)
        limit = request.query.get("limit", "10")
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 100):
            message = "Invalid integer: limit must be from 1 to 100."
            return _respond(error(400, "invalid_request_error", message, param="limit"))
        after = request.query.get("starting_after")
        data, more = self._ledger.page(_kind(request), limit=int(limit), starting_after=after)
        listed: JsonObject = {"object": "list", "data": data, "has_more": more, "url": request.path}
        return _respond(Answer(200, listed))

    async def _search(self, request: web.Request) -> web.Response:
        account = _account(request)
        if isinstance(account, Answer):
            return _respond(account)
        newest, _ = self._ledger.page("payment_intent", limit=SEARCHED_AT_MOST, starting_after=None)
        try:
            query = request.query.get("query", "")
            found = [intent for intent in newest if stripe_intents.matches(intent, query)]
        except ValueError as reason:
            return _respond(error(400, "invalid_request_error", str(reason), param="query"))
        told: JsonObject = {"object": "search_result", "data": found, "has_more": False}
        return _respond(Answer(200, {**told, "next_page": None, "url": request.path}))

    async def _settle(self, request: web.Request) -> web.Response:
        intent = self._ledger.find("payment_intent", request.match_info["id"])
        if intent is None or intent["status"] != "processing":
            raise web.HTTPConflict(text="no such intent is processing\n")
        charge = self._ledger.find("charge", intent["latest_charge"]) or {}
        paid = (await request.json())["paid"] is True
        self._ledger.replace(stripe_intents.settle(intent, charge, paid=paid).objects)
        return web.json_response({"id": intent["id"], "status": intent["status"]})

    async def _read_faults(self, _: web.Request) -> web.Response:
        return web.json_response(asdict(self._faults))

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            self._faults = Faults(**await request.json())
        except (TypeError, ValueError) as reason:
            raise web.HTTPBadRequest(text=f"not a description of faults: {reason}\n") from reason
        return web.json_response(asdict(self._faults))

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "service": "stripe_double"})

    async def _unknown(self, request: web.Request) -> web.Response:
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        return _respond(error(404, "invalid_request_error", message))


def _account(request: web.Request) -> str | Answer:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        message = "You did not provide an API key. Send it as 'Authorization: Bearer YOUR_KEY'."
        return error(401, "invalid_request_error", message)
    if not key.startswith("sk_test_"):
        return error(401, "invalid_request_error", f"Invalid API Key provided: {key[:8]}***")
    return key


def _fingerprint(request: web.Request, body: str) -> str:
    pairs = sorted(parse_qsl(body, keep_blank_values=True))
    return hashlib.sha256(json.dumps([request.path, pairs]).encode()).hexdigest()


def _key_reused(key: str) -> Answer:
    message = (
        "Keys for idempotent requests can only be used with the same parameters they were first"
        f" used with. Try using a key other than '{key}' if you meant to execute a different"
        " request."
    )
    return error(400, "idempotency_error", message)


def _key_in_use(key: str) -> Answer:
    message = (
        "There is currently another in-progress request using this Idempotent Key"
        f" ({key}). Please try again later."
    )
    return error(409, "idempotency_error", message, code="idempotency_key_in_use")


def _respond(answer: Answer, key: str | None = None, *, replayed: bool = False) -> web.Response:
    headers = {"Request-Id": _new_id("req_")}
    if key is not None:
        headers["Idempotency-Key"] = key
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    if answer.status >= 500:
        headers["Stripe-Should-Retry"] = "false"
    return web.json_response(answer.body, status=answer.status, headers=headers)


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # never sent: the connection is gone


def _kind(request: web.Request) -> str:
    return "charge" if request.path.startswith("/v1/charges") else "payment_intent"


def _new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(12)


async def serve(port: int, ledger: Ledger) -> None:
    """Answer until told to stop."""
    runner = web.AppRunner(StripeDouble(ledger).application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, port)
        await site.start()
        announce("stripe_double", f"http://{LOOPBACK}:{runner.addresses[0][1]}")
        await until_told_to_stop()
    finally:
        await runner.cleanup()


def main() -> None:
    """Serve at the place that the command line names."""
    place = read_place(__doc__)
    ledger = Ledger(place.directory)
    try:
        asyncio.run(serve(place.port, ledger))
    finally:
        ledger.close()


if __name__ == "__main__":
    main()
