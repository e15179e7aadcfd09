"""Does a contender do its duty? Asked before each round: a figure of what is not done says nothing.

Blocking sockets; every wait is bounded. All raise WrongAnswerError, saying what is not as it must.
"""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from scripts.benchmarks.client import TIMEOUT_S, WrongAnswerError
from scripts.benchmarks.gateway import tokens
from scripts.benchmarks.upstream import COMMENTS_BODY, SMALL_BODY, USER_BODY

CANARY_PERCENT = 5
_CALLERS = 500
_LEAST, _MOST = 8, 45  # of 500; one honest hash in ten thousand lies outside
_AGAIN = 25
TIGHT_LIMIT = 3
_KEYS_S = 10.0  # a key set may be fetched after the start
_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whatever its status."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Caller:
    """One connection to a contender, opened again when it closes it."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask, and take the whole answer."""
        self._connection.request("GET", path, headers=dict(headers or {}))
        answer = self._connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    def get_small(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for what the upstream answers with the small body."""
        answer = self.get(path, headers)
        if (answer.status, answer.body) != (200, SMALL_BODY):
            raise WrongAnswerError(_told(path, answer))
        return answer


def _told(path: str, answer: Answer) -> str:
    return f"GET {path} was answered {answer.status}: {answer.body[:200]!r}"


@contextmanager
def _caller(port: int) -> Iterator[Caller]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        yield Caller(connection)
    finally:
        connection.close()


def prove_plain(port: int, path: str) -> None:
    """The upstream's answer arrives."""
    with _caller(port) as caller:
        caller.get_small(path)


def prove_canary(port: int, path: str) -> None:
    """About five percent of callers are the candidate's, and each comes to the same side again."""
    with _caller(port) as caller:
        sides = [_side(caller, path, number) for number in range(_CALLERS)]
        again = [_side(caller, path, number) for number in range(_AGAIN)]
    served = sides.count("candidate")
    if not _LEAST <= served <= _MOST:
        raise WrongAnswerError(
            f"the candidate served {served} of {_CALLERS} callers: not {CANARY_PERCENT} percent"
        )
    if again != sides[:_AGAIN]:
        raise WrongAnswerError("a caller was served by one side, then by the other")


def _side(caller: Caller, path: str, number: int) -> str:
    answer = caller.get_small(path, {"X-User": tokens.subject(number)})
    return str(answer.headers["X-Served-By"])


def prove_token(port: int, path: str, seen_path: str, valid: str, subject: str) -> None:
    """A valid token passes, its subject reaches the upstream, and nothing else passes."""
    with _caller(port) as caller:
        _await_keys(caller, path, valid)
        caller.get_small(path, _bearer(valid))
        seen = caller.get(seen_path, {**_bearer(valid), "X-Verified-Subject": "somebody-else"})
        if seen.status != 200 or json.loads(seen.body) != {"subject": subject}:
            raise WrongAnswerError(f"the upstream was told of {seen.body!r} instead of {subject}")
        refused = [(what, _bearer(token)) for what, token in tokens.refused_tokens().items()]
        for what, headers in [("missing", {}), *refused]:
            answer = caller.get(path, headers)
            if answer.status != 401 or "WWW-Authenticate" not in answer.headers:
                raise WrongAnswerError(
                    f"a token that was {what} was answered {answer.status} instead of 401"
                )


def _await_keys(caller: Caller, path: str, valid: str) -> None:
    deadline = time.monotonic() + _KEYS_S
    while caller.get(path, _bearer(valid)).status != 200 and time.monotonic() < deadline:
        time.sleep(_EVERY_S)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def prove_limit(port: int, path: str, tight_path: str) -> None:
    """The measured limit lets requests pass; a tight one beside it stops what is too many."""
    with _caller(port) as caller:
        caller.get_small(path)
        statuses = [caller.get(tight_path).status for _ in range(TIGHT_LIMIT + 2)]
    # All are over the limit where an earlier proof has used it up.
    passed = statuses.count(200)
    if passed not in (0, TIGHT_LIMIT) or statuses[passed:] != [429] * (len(statuses) - passed):
        raise WrongAnswerError(f"a limit of {TIGHT_LIMIT} an hour was answered with {statuses}")


def prove_composed(port: int, path: str) -> None:
    """The answer holds the three parts, in order, each as its own upstream gives it."""
    with _caller(port) as caller:
        answer = caller.get(path)
    expected = {
        "post": json.loads(SMALL_BODY),
        "author": json.loads(USER_BODY),
        "comments": json.loads(COMMENTS_BODY)["comments"],
    }
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if answer.status != 200 or found != expected or list(found) != list(expected):
        raise WrongAnswerError(_told(path, answer))
