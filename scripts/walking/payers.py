"""Clients that pay, repeat requests on purpose, and are sometimes declined."""

import threading
from random import Random
from typing import Any

from scripts.walking.client import Answer, Client, Scene, Writing
from scripts.walking.journal import Facts
from scripts.walking.writers import Member

PAYMENT = ("id", "status", "amount", "currency", "stripe_id", "created_at")
DECLINED_CARDS = {
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
}
REPEATS = 50  # of a payment that another request is still carrying out
RETRY_S = 0.1


class Payer(Member):
    """Pays, repeats requests on purpose, and is sometimes declined."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        super().__init__(scene, rng, "payer")
        self._twin = Client(scene, "payer-twin")

    def close(self) -> None:
        """Close both connections."""
        self._twin.close()
        self.client.close()

    def work(self) -> None:
        """Pay once, in one of the ways in which people pay."""
        order = {
            "amount": self.rng.randrange(100, 99_999),
            "currency": self.rng.choice(("eur", "usd", "jpy")),
            "payment_method": "pm_card_visa",
        }
        key = f"{self.rng.getrandbits(128):032x}"
        choice = self.rng.random()
        if choice < 0.15:
            self._be_declined(order, key)
        elif choice < 0.35:
            self._pay_twice_at_once(order, key)
        else:
            self._pay(order, key)

    def _pay(self, order: Facts, key: str) -> None:
        writing = self._writing(order, key)
        answer = self._send(self.client, order, key, status=201)
        payment = self._paid(answer, order, writing)
        choice = self.rng.random()
        if choice < 0.5:
            again = self._send(self.client, order, key, status=201)
            again.require(again.json() == payment, f"the repeat differs from {payment}")
        elif choice < 0.65:
            other = {**order, "amount": order["amount"] + 1}
            refusal = self._send(self.client, other, key, status=409)
            code = refusal.json("error")["error"].get("code")
            refusal.require(code == "idempotency_key_reused", f"the code is {code!r}")
        path = f"/payments/{payment['id']}"
        shown = self.client.call("payment-read", "GET", path)
        shown.require(shown.json() == payment, f"it differs from {payment}")

    def _pay_twice_at_once(self, order: Facts, key: str) -> None:
        """Send the same payment on two connections at the same moment."""
        writing = self._writing(order, key)
        self._twin.token = self.client.token
        seconds: list[Answer | BaseException] = []

        def second() -> None:
            try:
                seconds.append(self._insist(self._twin, order, key))
            except BaseException as error:  # noqa: BLE001 - raised below, in the payer's thread
                seconds.append(error)

        thread = threading.Thread(target=second, name=self._twin.name, daemon=True)
        thread.start()
        try:
            payment = self._paid(self._insist(self.client, order, key), order, writing)
        finally:
            thread.join()
        (other,) = seconds
        if isinstance(other, BaseException):
            raise other
        other.require(other.json() == payment, f"the twin differs from {payment}")

    def _insist(self, client: Client, order: Facts, key: str) -> Answer:
        """Repeat a payment while another request with its key is being carried out."""
        for _ in range(REPEATS):
            answer = self._send(client, order, key, status=(201, 409))
            if answer.status == 201:
                return answer
            code = answer.json("error")["error"].get("code")
            answer.require(code == "payment_in_progress", f"the code is {code!r}")
            answer.require("Retry-After" in answer.headers, "it does not say when to repeat it")
            threading.Event().wait(RETRY_S)
        answer.require(False, f"in progress for {REPEATS} repeats")
        return answer

    def _be_declined(self, order: Facts, key: str) -> None:
        card, decline = self.rng.choice(sorted(DECLINED_CARDS.items()))
        sent = {**order, "payment_method": card}
        facts = {"status": "failed", "amount": order["amount"], "user_id": self.user_id}
        writing = Writing(self.client.scene, "payment", key, facts)
        for _ in range(2):  # the same refusal again
            answer = self._send(self.client, sent, key, status=402)
            error = answer.json("error")["error"]
            answer.require(decline in error.values(), f"no {decline} in {error}")
        listed = self.client.call("payments-list", "GET", "/payments?per_page=5")
        newest = listed.json("payments")["payments"][0]
        listed.require_echo(newest, {"status": "failed", "amount": order["amount"]})
        writing.done(answer, newest["id"])

    def _writing(self, order: Facts, key: str) -> Writing:
        facts = {"amount": order["amount"], "currency": order["currency"]}
        facts |= {"user_id": self.user_id, "status": "succeeded"}
        return Writing(self.client.scene, "payment", key, facts)

    def _send(self, client: Client, order: Facts, key: str, **expected: Any) -> Answer:
        headers = {"Idempotency-Key": key}
        return client.call(
            "payment-create", "POST", "/payment", headers=headers, json=order, **expected
        )

    def _paid(self, answer: Answer, order: Facts, writing: Writing) -> Facts:
        payment = answer.json(*PAYMENT)
        wanted = {name: order[name] for name in ("amount", "currency")}
        answer.require_echo(payment, {**wanted, "status": "succeeded"})
        stripe_id = payment["stripe_id"]
        answer.require(str(stripe_id).startswith("pi_"), f"stripe_id is {stripe_id!r}")
        facts = {**(writing.change.facts or {}), "stripe_id": stripe_id}
        writing.done(answer, payment["id"], facts)
        return payment
