"""The reconciler's process: it goes round and round, and lives through what is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError

from extracted.payment.reconciler import run
from extracted.payment.reconciling import Tally
from tests.payments_in_memory import outage


def test_it_goes_on_after_outages_of_either_kind_and_tells_each_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    stop = threading.Event()
    met: list[Exception | None] = [
        outage(),
        OperationalError("SELECT 1", {}, Exception("gone away")),
        None,
        None,
    ]

    def one_round(stopped: Callable[[], bool]) -> Tally:
        error = met.pop(0)
        if not met:
            stop.set()
        assert stopped() is (not met)
        if error is not None:
            raise error
        return Tally()

    run(one_round, stop, every_s=0.001)
    assert met == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_told_to_stop_it_begins_no_round() -> None:
    stop = threading.Event()
    stop.set()

    def never(_: Callable[[], bool]) -> Tally:
        raise AssertionError("a round was begun")

    run(never, stop)
