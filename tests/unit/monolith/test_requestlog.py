from __future__ import annotations

import logging

import pytest

from monolith.requestlog import OneLine


@pytest.mark.parametrize("end", ["\n", "\r", "\x1b[2J", "\x85", "\u2028"])
def test_what_a_client_sends_begins_no_line_of_the_log(end: str) -> None:
    path = f"/nowhere{end}2026-11-28 INFO [abc] POST /login 200"
    record = logging.LogRecord("access", logging.INFO, "", 1, "GET %s", (path,), None)
    line = OneLine("%(levelname)s %(message)s").format(record)
    assert line.startswith("INFO GET /nowhere\\u")
    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_words_in_any_language_stay_as_they_are() -> None:
    record = logging.LogRecord("access", logging.INFO, "", 1, "GET /글/é", (), None)
    assert OneLine("%(message)s").format(record) == "GET /글/é"
