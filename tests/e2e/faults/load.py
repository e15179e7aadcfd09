"""Clients that ask at a steady pace, and a record of every answer with its time.

Each answer is judged as it comes: a body must be the asked server's answer to this very request,
and what is no such answer must be the proxy's own problem or a connection visibly cut.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic

from tests.e2e.faults.running import Service
from tests.e2e.faults.service import answer_body
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.proxy import until
from tests.wire_tools.stream import Broken, Ended

CUT = 0
"""Stands for a status where the connection ended before an answer was whole."""
PATIENCE_S = 20.0
PER_CONNECTION = 10
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request came to. Times are monotonic seconds."""

    number: int
    method: str
    at: float
    end: float
    status: int
    by: str = ""
    """The server that answered; empty for the proxy's own words."""
    retry_after_s: int | None = None
    detail: str = ""

    @property
    def took_s(self) -> float:
        return self.end - self.at

    @property
    def good(self) -> bool:
        return self.status == 200


def ask(client: Client, method: str, path: str, *lines: str) -> Seen:
    """Ask once on a connection and judge the answer; AssertionError where it is corrupt."""
    number, at = next(_numbers), monotonic()
    try:
        body = b"%d" % number if method == "POST" else None
        client.request(method, f"{path}?{number}", *lines, body=body)
        answer = client.answer()
    except (Broken, Ended, OSError) as fault:
        return Seen(number, method, at, monotonic(), CUT, detail=repr(fault))
    return _judged(answer, number, method, at)


def _judged(answer: Answer, number: int, method: str, at: float) -> Seen:
    end = monotonic()
    retry_after = answer.header("Retry-After")
    retry_after_s = int(retry_after) if retry_after is not None else None
    if answer.header("Content-Type") == b"application/problem+json":
        told = answer.json()
        assert told["status"] == answer.status, answer
        return Seen(number, method, at, end, answer.status, "", retry_after_s, told["detail"])
    by = answer.body.partition(b" ")[0].decode("latin-1")
    assert answer.body == answer_body(by, number), f"corrupt: {answer.status} {answer.body[:80]!r}"
    return Seen(number, method, at, end, answer.status, by, retry_after_s)


class Load:
    """`clients` threads, in turn with each of the methods, each asking every so many seconds."""

    def __init__(
        self,
        port: int,
        path: str,
        *lines: str,
        clients: int = 4,
        methods: Sequence[str] = ("GET", "POST"),
        every_s: float = 0.02,
    ) -> None:
        self.seen: list[Seen] = []
        self._port, self._path, self._lines, self._every_s = port, path, lines, every_s
        self._corrupt: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(methods[number % len(methods)],))
            for number in range(clients)
        ]

    def _run(self, method: str) -> None:
        while not self._stop.is_set():
            try:
                with Client(self._port, timeout_s=PATIENCE_S) as client:
                    self._some(client, method)
            except OSError as fault:  # not even a connection
                now = monotonic()
                self.seen.append(Seen(0, method, now, now, CUT, detail=repr(fault)))
            except AssertionError as fault:
                self._corrupt.append(str(fault))

    def _some(self, client: Client, method: str) -> None:
        for _ in range(PER_CONNECTION):
            seen = ask(client, method, self._path, *self._lines)
            self.seen.append(seen)
            pause_s = self._every_s - seen.took_s
            if self._stop.wait(max(0.0, pause_s)) or seen.status == CUT:
                return

    def since(self, moment: float, before: float = float("inf")) -> list[Seen]:
        """What was asked from this moment on, and before another."""
        return [seen for seen in self.seen if moment <= seen.at < before]

    def between(self, start: float, end: float) -> list[Seen]:
        """What was asked and answered between two moments, and touched by nothing else."""
        return [seen for seen in self.seen if start <= seen.at and seen.end < end]

    def hit(self, fault: float, heal: float = float("inf")) -> list[Seen]:
        """What a fault may have touched: answered after it began, asked before it was healed."""
        return [seen for seen in self.seen if fault < seen.end and seen.at < heal]

    def wait(
        self,
        what: Callable[[Seen], bool],
        after: float,
        count: int = 1,
        timeout_s: float = PATIENCE_S,
    ) -> Seen:
        """The first answer of this kind to a request asked after a moment, once `count` came."""
        until(
            lambda: sum(map(what, self.since(after))) >= count,
            f"{count} such answers at {self._path}: {Counter(s.status for s in self.since(after))}",
            timeout_s,
        )
        return next(seen for seen in sorted(self.since(after), key=_end) if what(seen))

    def settle(self, count: int = 20, timeout_s: float = PATIENCE_S) -> None:
        """Wait until so many more have been answered well."""
        self.wait(lambda seen: seen.good, monotonic(), count, timeout_s)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        assert not self._corrupt, self._corrupt[:3]

    def stop(self) -> None:
        """Ask no more, and wait for what was asked."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()


class Asking:
    """So many clients that ask once each, GET and POST in turn, all together."""

    def __init__(self, port: int, clients: int, path: str = "/main") -> None:
        self._seen: list[Seen] = []
        self._port, self._path = port, path
        self._threads = [
            threading.Thread(target=self._ask, args=(("GET", "POST")[number % 2],))
            for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, method: str) -> None:
        with Client(self._port, timeout_s=PATIENCE_S) as client:
            self._seen.append(ask(client, method, self._path))

    def answers(self) -> list[Seen]:
        """What came of all, once it has."""
        for thread in self._threads:
            thread.join()
        assert len(self._seen) == len(self._threads), "an answer was corrupt"
        return self._seen


def _end(seen: Seen) -> float:
    return seen.end


def statuses(seen: Iterable[Seen]) -> set[int]:
    return {each.status for each in seen}


def all_good_s(load: Load, heal: float) -> float:
    """How long after the heal the last bad answer came; 0 when none did."""
    return max((seen.end - heal for seen in load.hit(heal) if not seen.good), default=0.0)


def assert_untouched(load: Load, longest_s: float = 1.0) -> None:
    """Nobody failed, and nobody waited."""
    assert len(load.seen) > 20
    assert [seen for seen in load.seen if not seen.good] == []
    assert max(seen.took_s for seen in load.seen) < longest_s


def assert_posts_once(load: Load, *services: Service) -> None:
    """No POST was carried out twice, and each that was answered well was carried out."""
    carried_out = Counter(
        number for service in services for method, number in service.journal() if method == "POST"
    )
    assert [number for number, times in carried_out.items() if times > 1] == []
    posts = [seen for seen in load.seen if seen.method == "POST"]
    assert posts
    assert [seen for seen in posts if seen.good and not carried_out[seen.number]] == []
