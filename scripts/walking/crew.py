"""Clients at work side by side, one thread each, until they are told to stop."""

import threading
from collections.abc import Callable

from scripts.walking.client import TIMEOUT_S, Scene, WrongAnswerError


class Crew:
    """Threads that act until told to stop; what goes wrong in one is recorded, and it goes on."""

    def __init__(
        self, scene: Scene, start: Callable[[threading.Thread], None] = threading.Thread.start
    ) -> None:
        self._scene = scene
        self._start = start
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.crashes: list[BaseException] = []

    def go(self, name: str, act: Callable[[], None], pause_s: Callable[[], float]) -> None:
        """Start a thread that acts again and again, with a pause after each time."""

        def run() -> None:
            try:
                while not self._stopping.is_set():
                    try:
                        act()
                    except WrongAnswerError as wrong:
                        self._scene.failed(wrong.failure)
                    self._stopping.wait(pause_s())
            except BaseException as crash:  # noqa: BLE001 - a thread's fault must reach the conductor
                self.crashes.append(crash)

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        self._start(thread)

    def stop(self) -> None:
        """Let every thread finish the request that it is in, and end."""
        self._stopping.set()
        # One whose start was interrupted may begin yet, and then acts no more.
        begun = [thread for thread in self._threads if thread.ident is not None]
        for thread in begun:
            thread.join(TIMEOUT_S + 10)
        if any(thread.is_alive() for thread in begun):
            self.crashes.append(TimeoutError("a client did not end"))

    def check(self) -> None:
        """Raise what a client's thread has died of, if one has."""
        if self.crashes:
            raise self.crashes[0]
