"""Asking another service: its refusals are passed on as they are, and its failures become a 503."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from extracted.chassis.answered import holds, refusal_in
from extracted.chassis.client import BreakerOpenError, ServiceClient, ServiceUnavailableError
from extracted.chassis.errors import Refusal
from extracted.chassis.places import NoPlaceError, Places

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """A service that is asked; `code` and `message` are what clients read when it fails.

    It is asked from one of `places`, so that it never has all threads when it hangs.
    """

    client: ServiceClient
    places: Places
    code: str
    message: str

    def post(self, path: str, wanted: Mapping[str, type], **request: Any) -> dict[str, Any]:
        """What it answers, which has at least the `wanted` names with values of these types.

        Raises Refusal: its own, where that is about what was sent, or 503 with Retry-After when it
        fails, is not what was thought to be there, or does not answer.
        """
        try:
            with self.places.one():
                answer = self.client.request("POST", path, **request)
        except BreakerOpenError as error:
            raise self._failing(math.ceil(error.retry_after_s)) from error
        except (ServiceUnavailableError, NoPlaceError) as error:
            raise self._failing() from error
        if holds(answer, wanted):
            return answer.json
        if (refusal := refusal_in(answer)) is not None:
            raise refusal
        log.error("POST %s was answered %s: %s", path, answer.status, answer.json.get("error"))
        raise self._failing()

    def _failing(self, retry_after_s: int = RETRY_AFTER_S) -> Refusal:
        headers = {"Retry-After": str(retry_after_s)}
        return Refusal(503, self.code, self.message, headers=headers)
