"""Keeps one instance in Consul for as long as it runs, from a thread of gunicorn's master.

Consul's trouble is never the service's: it is told once for each outage, and tried again. Nothing
here waits longer than two seconds, and nothing but the end of the service waits for it at all.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType
from urllib.parse import quote

import requests

from extracted.chassis.connections import BoundedAdapter, time_for_call, tls_context
from extracted.chassis.registration import Registration
from extracted.chassis.retries import reason

HEARTBEAT_S = 3.0
CALL_S = 1.0
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Registrar:
    """Registers at `start`, again when Consul has lost the instance, and takes it out at `stop`.

    `stays` says, when it ends, that others serve on at the same address and it is to stay in.
    """

    def __init__(
        self,
        registration: Registration,
        log: logging.Logger,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        stays: Callable[[], bool] = lambda: False,
    ) -> None:
        self._registration = registration
        self._log = log
        self._heartbeat_s = heartbeat_s
        self._stays = stays
        # Signal handlers put into this one, and may interrupt each other while they do: an Event
        # would then wait for itself.
        self._ends: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="registrar", daemon=True)
        self._told = False
        # Made here and not in the thread, which workers may be forked beside: OpenSSL's first use
        # must not be going on just then.
        self._tls = tls_context()
        self._headers = {"Accept": "application/json", "Connection": "close"}
        if registration.token:
            self._headers["X-Consul-Token"] = registration.token

    def start(self) -> None:
        """Begin in a thread of its own; returns at once."""
        self._thread.start()

    def leave(self) -> None:
        """Have it taken out now; returns at once. May be called by a signal handler."""
        self._ends.put(None)

    def stop(self) -> None:
        """Have it taken out, and wait for that within bounds."""
        self.leave()
        self._thread.join(2 * CALL_S + 1)

    def leave_on_signals(self) -> None:
        """Leave as soon as a signal to end comes, before its present handler has its turn.

        Others hear of it while the requests in flight are still being finished.
        """
        for number in ENDINGS:
            signal.signal(number, self._leaving_first(signal.getsignal(number)))

    def _leaving_first(self, handler: object) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            self.leave()
            if callable(handler):
                handler(number, frame)

        return handle

    def _run(self) -> None:
        # A signal that the kernel gives to this thread would wait until the main one wakes up.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._attempt(self._keep)
        while not self._ended():
            self._attempt(self._keep)
        if not self._stays():
            self._attempt(self._take_out)

    def _ended(self) -> bool:
        try:
            self._ends.get(timeout=self._heartbeat_s)
        except Empty:
            return False
        return True

    def _attempt(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001 (whatever it is, the thread must live on)
            self._trouble(reason(error))

    def _keep(self) -> None:
        status, text = self._ask("GET", "service", self._registration.id)
        if status == 404:
            body = json.dumps(self._registration.body())
            status, text = self._ask("PUT", "service", "register", body=body)
            if status == 200:
                self._log.info("Registered in Consul as %s", self._registration.id)
        if status != 200:
            self._trouble(f"it answered {status}: {text}")
        elif self._told:
            self._told = False
            self._log.info("Consul at %s answers again", self._registration.consul_url)

    def _take_out(self) -> None:
        status, text = self._ask("PUT", "service", "deregister", self._registration.id)
        if status == 200:
            self._log.info("Taken out of Consul: %s", self._registration.id)
        elif status != 404:
            self._trouble(f"it answered {status}: {text}")

    def _trouble(self, what: str) -> None:
        if not self._told:
            self._log.warning(
                "Consul at %s could not be told of %s: %s. The service is not held up by that.",
                *(self._registration.consul_url, self._registration.id, what),
            )
        self._told = True

    def _ask(self, method: str, *path: str, body: str | None = None) -> tuple[int, str]:
        parts = "/".join(quote(part, safe="") for part in path)
        url = f"{self._registration.consul_url}/v1/agent/{parts}"
        request = requests.Request(method, url, self._headers, data=body).prepare()
        adapter = BoundedAdapter(self._tls)
        try:
            with (
                time_for_call(CALL_S, CALL_S),
                adapter.send(request, stream=True, timeout=CALL_S) as response,
            ):
                start = next(response.iter_content(4096), b"")
                return response.status_code, start[:200].decode(errors="replace").strip()
        finally:
            adapter.close()
