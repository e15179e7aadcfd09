"""Asking another service: its refusals are passed on as they are, and its failures become a 503."""

from __future__ import annotations

import logging
import math
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from extracted.chassis.client import (
    Answer,
    BreakerOpenError,
    ServiceClient,
    ServiceUnavailableError,
)
from extracted.chassis.errors import Refusal

log = logging.getLogger(__name__)

PASSED_ON = ("WWW-Authenticate", "Retry-After")
RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """A service that is asked; `code` and `message` are what clients read when it fails."""

    client: ServiceClient
    code: str
    message: str

    def post(self, path: str, wanted: Set[str], **request: Any) -> dict[str, Any]:
        """What it answers, which has at least the `wanted` names.

        Raises Refusal: its own 4xx, or 503 with Retry-After when it fails or does not answer.
        """
        try:
            answer = self.client.request("POST", path, **request)
        except BreakerOpenError as error:
            raise self._failing(math.ceil(error.retry_after_s)) from error
        except ServiceUnavailableError as error:
            raise self._failing() from error
        if 200 <= answer.status < 300 and wanted <= answer.json.keys():
            return answer.json
        if (refusal := _refusal(answer)) is not None:
            raise refusal
        log.error("POST %s was answered %s: %s", path, answer.status, answer.json.get("error"))
        raise self._failing()

    def _failing(self, retry_after_s: int = RETRY_AFTER_S) -> Refusal:
        headers = {"Retry-After": str(retry_after_s)}
        return Refusal(503, self.code, self.message, headers=headers)


def _refusal(answer: Answer) -> Refusal | None:
    error = answer.json.get("error")
    if not (400 <= answer.status < 500 and isinstance(error, dict)):
        return None
    if not {"code", "message"} <= error.keys():
        return None
    headers = {name: value for name, value in answer.headers.items() if name in PASSED_ON}
    return Refusal(answer.status, headers=headers, **error)
