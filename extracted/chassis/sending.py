"""One try of one request: sent once, its whole answer read, within its time and a size.

It uses requests' adapters without a session: so no redirect is followed, no cookie is kept for
another caller, and no proxy or .netrc of the machine has a say between services.
"""

from __future__ import annotations

from contextlib import closing

import requests
from urllib3.exceptions import HTTPError

from extracted.chassis.connections import BoundedAdapter, time_for_call, tls_context
from extracted.chassis.retries import Outcome

CONNECT_TIMEOUT_S = 2.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024
READS = ("GET", "HEAD")


class Sender:
    """Sends requests to one service; bears each silence of it for at most `timeout_s`."""

    def __init__(self, timeout_s: float, ca_file: str | None) -> None:
        self._timeout_s = timeout_s
        self._verify = ca_file or True
        self._tls = tls_context()
        self._reads = BoundedAdapter(self._tls)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._reads.close()

    def send(self, request: requests.PreparedRequest, left_s: float) -> Outcome:
        """How the request went, which takes `left_s` at most; never raises for the service.

        Reads share kept connections. The service may close a kept one just as a request goes out,
        and then nobody can tell whether that was carried out: each write has one of its own.
        """
        left_s = max(left_s, 0.001)  # a wait between tries may have ended just past the end
        try:
            with time_for_call(self._timeout_s, left_s):
                if request.method in READS:
                    return self._exchange(self._reads, request, left_s)
                request.headers["Connection"] = "close"
                with closing(BoundedAdapter(self._tls)) as adapter:
                    return self._exchange(adapter, request, left_s)
        except (requests.RequestException, HTTPError) as error:
            return Outcome(error=error)

    def _exchange(
        self, adapter: BoundedAdapter, request: requests.PreparedRequest, left_s: float
    ) -> Outcome:
        timeout = (min(CONNECT_TIMEOUT_S, left_s), min(self._timeout_s, left_s))
        with adapter.send(request, stream=True, timeout=timeout, verify=self._verify) as response:
            body = bytearray()
            for chunk in response.iter_content(65536):
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    told = f"the answer is larger than {MAX_ANSWER_BYTES} bytes"
                    return Outcome(error=requests.RequestException(told))
            return Outcome(response.status_code, response.headers, bytes(body))
