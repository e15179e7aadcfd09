"""The service's work as a process of its own, which kills itself at the point it is told.

program.py pay|reconcile POINT    with the environment of `ReconcilerSettings`
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from extracted.chassis.clock import utc_now
from extracted.payment.opening import opened, settings_or_exit
from extracted.payment.reconciling import Reconciler
from extracted.payment.service import Payments
from tests.payments_in_memory import ANN, ORDER


class Fused:
    """A part of which one method kills the process when it is done, or before it begins."""

    def __init__(self, part: Any, point: str) -> None:
        self._part = part
        self._when, _, self._method = point.partition(" ")

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if name != self._method:
            return method

        def fused(*arguments: Any, **more: Any) -> Any:
            if self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = method(*arguments, **more)
            os.kill(os.getpid(), signal.SIGKILL)
            return result

        return fused


def main(what: str, point: str) -> None:
    settings = settings_or_exit()
    with opened(settings) as desk:
        parts = (Fused(desk.repository, point), Fused(desk.charger, point), utc_now)
        if what == "pay":
            Payments(*parts, settings.payment_lease_s).pay(ORDER, ANN)
        else:
            Reconciler(*parts, settings.payment_lease_s).round()


if __name__ == "__main__":
    main(*sys.argv[1:])
