"""Calls from one service to another: bounded in time, repeated only where that is safe, and not
made at all while the other service keeps failing.

Each call goes under the request id and the trace of the request being served. A process has one
client for each service that it calls, shared by its threads.
"""

from __future__ import annotations

import json as json_text
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests
from requests.utils import default_user_agent
from tenacity import RetryCallState, Retrying, retry_if_result

from extracted.chassis import logs, tracing
from extracted.chassis.breaker import Breaker
from extracted.chassis.retries import Outcome, delay_s, may_repeat, reason
from extracted.chassis.sending import READS, Sender
from extracted.chassis.unavailable import BreakerOpenError, ServiceUnavailableError

__all__ = ["Answer", "BreakerOpenError", "ServiceClient", "ServiceUnavailableError"]

log = logging.getLogger(__name__)

TRIES = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered. `json` is its object, or {} when the body is no JSON object."""

    status: int
    json: dict[str, Any]
    headers: Mapping[str, str]


class ServiceClient:
    """Talks to the service at `url`.

    Each silence of it is borne for at most `timeout_s`, and a call with all its tries for at most
    `total_s` (twice that by default). `ca_file` holds the authorities to trust for https.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        total_s: float | None = None,
        breaker: Breaker | None = None,
        request_id: Callable[[], str | None] = logs.request_id,
        trace: Callable[[], Mapping[str, str]] = tracing.passed_on,
        ca_file: str | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._total_s = 2 * timeout_s if total_s is None else total_s
        self._breaker = breaker or Breaker(f"The service at {self._url}")
        self._request_id = request_id
        self._trace = trace
        self._rng = rng or random.Random()  # noqa: S311 (spreads retries, keeps no secret)
        self._sender = Sender(timeout_s, ca_file)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._sender.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        json: object = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Send one request and read its whole answer, which may be a refusal or a failure too.

        It is tried up to three times: whenever the connection could not be opened; and GET, HEAD
        and what has an `idempotency_key` also when it broke or was answered 502, 503 or 504.

        Raises ServiceUnavailableError when there is no answer; BreakerOpenError, one of its kind,
        at once when the service was not asked because it keeps failing.
        """
        headers = self._headers(token, idempotency_key)
        request = requests.Request(method, self._url + path, headers, json=json, files=files)
        done = self._tried(request.prepare(), method in READS or idempotency_key is not None)
        if done.status is None:
            met = "no answer" if done.error is None else reason(done.error)
            raise ServiceUnavailableError(f"{method} {self._url}{path}: {met}") from done.error
        return Answer(done.status, _object(done.body), done.headers)

    def _headers(self, token: str | None, idempotency_key: str | None) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
        headers["User-Agent"] = default_user_agent()
        headers.update(self._trace())
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if request_id := self._request_id():
            headers["X-Request-ID"] = request_id
        if idempotency_key is not None:
            if not idempotency_key:
                raise ValueError("an empty idempotency key protects nothing; leave it out")
            headers["Idempotency-Key"] = idempotency_key
        return headers

    def _tried(self, request: requests.PreparedRequest, repeatable: bool) -> Outcome:
        deadline = time.monotonic() + self._total_s
        last = Outcome()

        def attempt() -> bool:
            nonlocal last
            try:
                last = self._admitted(request, deadline)
            except BreakerOpenError:
                if not last.failed:
                    raise
                return False  # the tries until now have opened it: what they met is told
            return may_repeat(last, repeatable)

        def wait(state: RetryCallState) -> float:
            return delay_s(state.attempt_number, last, self._rng, datetime.now(UTC))

        def stop(state: RetryCallState) -> bool:
            too_late = time.monotonic() + state.upcoming_sleep >= deadline
            return too_late or state.attempt_number >= TRIES

        def tell(state: RetryCallState) -> None:
            met = f"answered {last.status}" if last.error is None else reason(last.error)
            log.info("%s %s, tried again: %s", request.method, request.url, met)

        Retrying(
            retry=retry_if_result(bool),
            wait=wait,
            stop=stop,
            before_sleep=tell,
            retry_error_callback=lambda _: False,
        )(attempt)
        return last

    def _admitted(self, request: requests.PreparedRequest, deadline: float) -> Outcome:
        admitted, failed = self._breaker.admit(), None
        try:
            done = self._sender.send(request, deadline - time.monotonic())
            failed = done.failed
        finally:
            self._breaker.report(admitted, failed)
        return done


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json_text.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
