"""One client of the blog: sends a request, times it, and says so when the answer is not right."""

import itertools
import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from scripts.walking.figures import Failure, Figures
from scripts.walking.journal import Change, Facts, Journal, Row
from scripts.walking.photographs import Photograph

TIMEOUT_S = 60.0
SHOWN_BYTES = 600


class WrongAnswerError(Exception):
    """An answer broke its contract; `failure` has the details."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.request}: {failure.problem}")
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, when it was asked for and when it had come, and how to reject it.

    It may be of a copy that is `stale_s` seconds behind.
    """

    kind: str
    phase: str
    request: str
    request_id: str
    status: int
    headers: Mapping[str, str]
    content: bytes
    asked_at: float
    answered_at: float
    stale_s: float = 0.0

    @property
    def fresh_at(self) -> float:
        """What was acknowledged by then, it must show."""
        return self.asked_at - self.stale_s

    def require(self, holds: bool, problem: str) -> None:
        """Raise WrongAnswerError unless the promise holds."""
        if not holds:
            raise WrongAnswerError(self.failure(problem))

    def failure(self, problem: str) -> Failure:
        """Describe this answer as a failure."""
        shown = self.content[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
        answer = f"{self.status} {shown}"
        return Failure(self.kind, self.phase, self.request, self.request_id, problem, answer)

    def json(self, *names: str) -> dict[str, Any]:
        """Return the JSON object of the body, which must have these members."""
        media_type = self.headers.get("Content-Type", "").partition(";")[0]
        self.require(media_type == "application/json", f"Content-Type is {media_type!r}")
        try:
            value = json.loads(self.content)
        except ValueError as error:
            raise WrongAnswerError(self.failure(f"the body is not JSON: {error}")) from error
        self.require(isinstance(value, dict), "the body is not a JSON object")
        missing = [name for name in names if name not in value]
        self.require(not missing, f"members are missing: {', '.join(missing)}")
        return dict(value)

    def require_echo(self, value: Facts, sent: Facts) -> None:
        """Raise WrongAnswerError unless the members have the values that were sent."""
        for name, wanted in sent.items():
            self.require(
                value.get(name) == wanted, f"{name} is {value.get(name)!r}, not {wanted!r}"
            )


@dataclass(slots=True)
class Scene:
    """What all clients share: where the blog is, what was promised, what was seen, the phase.

    While a capability's data is moved, reads may be of a copy that is `stale_s` seconds behind.
    While a part is `down`, requests of these kinds may fail. With `others_write` the blog may show
    what no client here wrote.
    """

    address: str
    journal: Journal
    figures: Figures
    album: list[Photograph]
    phase: str = "start"
    stale_s: float = 0.0
    down: Collection[str] = ()
    others_write: bool = False
    clock: Callable[[], float] = time.monotonic

    def failed(self, failure: Failure) -> None:
        """Count a failure, unless what it depends on is down."""
        if failure.kind in self.down:
            self.figures.excuse()
        else:
            self.figures.failed(failure)


class FromAddress(HTTPAdapter):
    """Connects from an address of its own: on Linux all of 127.0.0.0/8 is this machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """See HTTPAdapter."""
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


class Client:
    """A browser or program with its own connection and, once logged in, its own token.

    It has an internet address of its own, by which the proxy's canary tells callers apart. Use
    from one thread, and close.
    """

    _numbers = itertools.count(1)
    _addresses = itertools.count(1)

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene = scene
        self.name = f"{name}-{next(self._numbers)}"
        self.token: str | None = None
        self._session = self._connect()
        self._sent = itertools.count(1)

    def move(self) -> None:
        """Go on from another address, as somebody else, or the same person at another place."""
        self._session.close()
        self._session = self._connect()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _connect(self) -> requests.Session:
        number = next(self._addresses)
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", FromAddress(f"127.1.{number // 250 % 250}.{number % 250 + 1}"))
        return session

    def call(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        status: int | Collection[int] = 200,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> Answer:
        """Send a request and return its answer, whose status must be as expected.

        Raises WrongAnswerError, also when there is no whole answer within TIMEOUT_S.
        """
        scene, phase, stale_s = self.scene, self.scene.phase, self.scene.stale_s
        request_id = f"walk-{self.name}-{next(self._sent)}"
        sent = {"X-Request-ID": request_id, **(headers or {})}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        asked_at = scene.clock()
        try:
            found = self._session.request(
                method,
                scene.address + path,
                headers=sent,
                timeout=TIMEOUT_S,
                allow_redirects=False,
                **body,
            )
        except requests.RequestException as error:
            scene.figures.answered(phase, kind, scene.clock() - asked_at)
            problem = f"no whole answer: {type(error).__name__}: {error}"
            failure = Failure(kind, phase, f"{method} {path}", request_id, problem, "")
            raise WrongAnswerError(failure) from error
        answer = Answer(
            kind,
            phase,
            f"{method} {path}",
            found.headers.get("X-Request-ID", request_id),
            found.status_code,
            found.headers,
            found.content,
            asked_at,
            scene.clock(),
            stale_s,
        )
        scene.figures.answered(phase, kind, answer.answered_at - asked_at)
        wanted = {status} if isinstance(status, int) else set(status)
        answer.require(answer.status in wanted, f"status {answer.status}, not {sorted(wanted)}")
        return answer

    def require_promised(self, answer: Answer, row: Row | None, seen: Facts | None) -> None:
        """Raise unless an answer says of a row what the clients were promised at that moment."""
        if row is None:
            known = seen is None or self.scene.others_write
            answer.require(known, "it shows something that no client wrote")
            return
        options = self.scene.journal.options(row, answer.fresh_at, answer.answered_at)
        if seen is None:
            answer.require(None in options, f"{row.kind} {row.id} was acknowledged and is missing")
            return
        possible = [facts for facts in options if facts is not None]
        answer.require(bool(possible), f"{row.kind} {row.id} was deleted and is shown")
        fits = any(all(seen.get(name) == facts[name] for name in facts) for facts in possible)
        answer.require(fits, f"{row.kind} {row.id} is {seen}, not {possible[-1]}")


class Writing:
    """A write in the journal: enter before sending, `done` when it was acknowledged.

    Left with an exception, the write stays in doubt; after `refused` it must have had no effect.
    """

    def __init__(
        self, scene: Scene, kind: str, mark: str, facts: Facts | None, parent: Row | None = None
    ) -> None:
        self._scene = scene
        self.row: Row
        self.change: Change
        self.row, self.change = scene.journal.send(kind, mark, facts, scene.clock(), parent)

    def done(self, answer: Answer, identifier: Any, facts: Facts | None = None) -> Row:
        """Note the acknowledgement, with facts that only the answer tells."""
        if facts is not None:
            self.change.facts = facts
        self._scene.journal.acknowledge(self.row, self.change, identifier, answer.answered_at)
        return self.row

    def refused(self) -> None:
        """Note that the blog refused, as it had to."""
        self._scene.journal.refuse(self.change)
