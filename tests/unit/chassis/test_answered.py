"""What of another service's answer is told to clients."""

from __future__ import annotations

from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from extracted.chassis.answered import holds, refusal_in
from extracted.chassis.client import Answer

ERROR = {"code": "invalid_input", "message": "title is required."}


def answer(status: int, body: dict[str, Any], **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body, CaseInsensitiveDict(named))


def test_a_refusal_is_told_with_its_fields_and_what_a_client_acts_on() -> None:
    fields = [{"field": "title", "message": "is required"}]
    told = refusal_in(
        answer(400, {"error": {**ERROR, "fields": fields}}, retry_after="3", server="inner")
    )
    assert told is not None
    assert (told.status, told.error) == (400, {**ERROR, "fields": fields})
    assert told.headers == {"Retry-After": "3"}


@pytest.mark.parametrize(
    "more",
    [
        {"status": 201, "headers": {"Set-Cookie": "a=b"}, "self": 1, "trace": "Traceback"},
        {"fields": "title"},
        {"fields": [{"field": "title", "message": "is required", "value": "secret"}]},
        {"fields": ["title"]},
    ],
)
def test_what_else_an_error_holds_is_not_told(more: dict[str, Any]) -> None:
    told = refusal_in(answer(422, {"error": {**ERROR, **more}}))
    assert told is not None
    assert (told.status, told.error, told.headers) == (422, ERROR, {})


@pytest.mark.parametrize("status", [404, 405, 408, 421, 500, 302, 200])
def test_what_is_between_the_two_services_is_no_refusal_of_the_client(status: int) -> None:
    assert refusal_in(answer(status, {"error": ERROR})) is None


@pytest.mark.parametrize(
    "error",
    [None, "no", {}, {"code": "x"}, {"code": 1, "message": "x"}, {"code": "x", "message": None}],
)
def test_an_error_without_code_and_message_is_no_refusal(error: object) -> None:
    assert refusal_in(answer(400, {"error": error})) is None


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        ({"name": "a.jpg", "width": 4, "more": None}, True),
        ({"name": "a.jpg"}, False),
        ({"name": None, "width": 4}, False),
        ({"name": "a.jpg", "width": True}, False),
    ],
)
def test_a_success_has_what_is_wanted_in_the_types_that_are_wanted(
    body: dict[str, Any], whole: bool
) -> None:
    assert holds(answer(201, body), {"name": str, "width": int}) is whole
    assert not holds(answer(400, body), {"name": str, "width": int})
