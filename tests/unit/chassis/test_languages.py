"""Which language a client's mails are in."""

from __future__ import annotations

import pytest
from flask import Flask, request

from extracted.chassis.languages import language


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        (None, "en"),
        ("", "en"),
        ("*", "en"),
        ("fr", "en"),
        ("ko", "ko"),
        ("ko-KR, en;q=0.8", "ko"),
        ("en-GB, ko;q=0.9", "en"),
        ("ko;q=0.1, en;q=0.2", "en"),
        ("fr, KO-kr;q=0.5", "ko"),
        ("korean", "en"),
        ("ko;q=0, de", "en"),
        ("en;q=0, ko;q=0.5", "ko"),
        (";;,=", "en"),
    ],
)
def test_the_most_wanted_language_that_mails_have(accepted: str | None, wanted: str) -> None:
    headers = {} if accepted is None else {"Accept-Language": accepted}
    with Flask(__name__).test_request_context(headers=headers):
        assert language(request) == wanted
