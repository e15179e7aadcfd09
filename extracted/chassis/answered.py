"""What may be read out of another service's answer, and told to one's own clients. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from extracted.chassis.client import Answer
from extracted.chassis.errors import Refusal

# These speak of what the client has sent. All else that goes wrong is between the two services: a
# 404 or 405, for instance, of an address that the client has not chosen.
CLIENTS_FAULTS = frozenset({400, 401, 402, 403, 409, 413, 415, 422, 429})
PASSED_ON = ("WWW-Authenticate", "Retry-After")


def holds(answer: Answer, wanted: Mapping[str, type]) -> bool:
    """Whether it is a success that has these names, each with a value of its type."""
    found = answer.json
    return 200 <= answer.status < 300 and all(
        type(found.get(name)) is kind for name, kind in wanted.items()
    )


def refusal_in(answer: Answer) -> Refusal | None:
    """The refusal that the client is to read as it is, or None: then it is a failure.

    Of an error object it is the code, the message and the fields; what else there may be is not
    told, and neither are those when they are of other types.
    """
    error = answer.json.get("error")
    if answer.status not in CLIENTS_FAULTS or not isinstance(error, dict):
        return None
    code, message, fields = error.get("code"), error.get("message"), error.get("fields")
    if not (isinstance(code, str) and isinstance(message, str)):
        return None
    details: dict[str, Any] = {"fields": fields} if _are_fields(fields) else {}
    headers = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
    return Refusal(answer.status, code, message, headers=headers, **details)


def _are_fields(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and each.keys() == {"field", "message"} for each in value
    )
