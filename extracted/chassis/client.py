"""Calls from one service to another: bounded in time, under the caller's request id.

Only what cannot have been carried out, or may be carried out twice, is tried again: any request
whose connection was refused, and reads (GET, HEAD) that broke.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

CONNECT_TIMEOUT_S = 2.0
READS = ("GET", "HEAD")


class ServiceUnavailableError(Exception):
    """The service could not be reached, broke off, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered. `json` is its object, or {} when the body is no JSON object."""

    status: int
    json: dict[str, Any]
    headers: Mapping[str, str]


class ServiceClient:
    """Talks to the service at `url`; each silence of it is borne for at most `timeout_s`."""

    def __init__(
        self, url: str, *, timeout_s: float, request_id: Callable[[], str | None] = lambda: None
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout = (CONNECT_TIMEOUT_S, timeout_s)
        self._request_id = request_id
        self._reads = _session(
            Retry(
                connect=2,
                read=2,
                redirect=0,
                status=0,
                other=0,
                allowed_methods=READS,
                backoff_factor=0.05,
            )
        )
        self._writes = _session(
            Retry(
                connect=2,
                read=0,
                redirect=0,
                status=0,
                other=0,
                allowed_methods=None,
                backoff_factor=0.05,
            )
        )
        # A kept connection may be closed by the service just as a write goes out, and then nobody
        # can tell whether it was carried out. A connection of its own for each write avoids that.
        self._writes.headers["Connection"] = "close"

    def close(self) -> None:
        """Close the connections that are kept."""
        self._reads.close()
        self._writes.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        json: object = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
    ) -> Answer:
        """Send one request and read its whole answer. Raises ServiceUnavailableError."""
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if request_id := self._request_id():
            headers["X-Request-ID"] = request_id
        session = self._reads if method in READS else self._writes
        try:
            response = session.request(
                method,
                self._url + path,
                headers=headers,
                json=json,
                files=files,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise ServiceUnavailableError(f"{method} {self._url}{path}: {error}") from error
        return Answer(response.status_code, _object(response), response.headers)


def _session(retries: Retry) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy or .netrc of the machine has no say between services
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries, pool_maxsize=32))
    return session


def _object(response: requests.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except requests.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
