"""The duties that are measured: the requests of each, and the proof that it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from scripts.benchmarks.gateway import proofs, tokens
from scripts.benchmarks.upstream import SMALL
from scripts.benchmarks.wrk import Workload

_CONNECTIONS = SMALL.connections
CANARY, SIGNED, ISSUED = "/canary/42", "/signed/42", "/issued/42"
LIMITED, TIGHT, COMPOSED_PATH = "/limited/42", "/tight/42", "/api/posts/42"


@dataclass(frozen=True, slots=True)
class Duty:
    """One kind of request, and how to see that a contender treats it as it must."""

    name: str
    load: Callable[[], Workload]  # made when it is needed: tokens take a while to sign
    prove: Callable[[int], None]  # given a port; raises WrongAnswerError
    times: int = 1  # rounds in each turn: more where a tenth must be told from noise


def _workload(name: str, title: str, path: str) -> Workload:
    return Workload(name, title, path, _CONNECTIONS)


def _with_turns(name: str, title: str, path: str, field: str, values: tuple[str, ...]) -> Workload:
    return Workload(name, title, path, _CONNECTIONS, header=(field, values))


def _canary() -> Workload:
    callers = tuple(tokens.subject(number) for number in range(tokens.CALLERS))
    return _with_turns("canary", "canary 5 %, by header", CANARY, "X-User", callers)


def _signed() -> Workload:
    values = tuple(f"Bearer {token}" for token in tokens.shared_tokens())
    return _with_turns("hs256", "token, HS256", SIGNED, "Authorization", values)


def _issued() -> Workload:
    values = tuple(f"Bearer {token}" for token in tokens.issued_tokens())
    return _with_turns("rs256", "token, RS256", ISSUED, "Authorization", values)


def _prove_signed(port: int) -> None:
    valid = tokens.shared_tokens()[3]
    proofs.prove_token(port, SIGNED, "/signed/1", valid, tokens.subject(3))


def _prove_issued(port: int) -> None:
    valid = tokens.issued_tokens()[3]
    proofs.prove_token(port, ISSUED, "/issued/1", valid, tokens.subject(3))


PLAIN = Duty(
    "plain",
    partial(_workload, "plain", "plain route", SMALL.path),
    partial(proofs.prove_plain, path=SMALL.path),
    times=3,
)
CANARY_SPLIT = Duty("canary", _canary, partial(proofs.prove_canary, path=CANARY))
SHARED_SECRET = Duty("hs256", _signed, _prove_signed)
ISSUER_KEYS = Duty("rs256", _issued, _prove_issued)
RATE_LIMIT = Duty(
    "limited",
    partial(_workload, "limited", "rate limit by client", LIMITED),
    partial(proofs.prove_limit, path=LIMITED, tight_path=TIGHT),
)
COMPOSED = Duty(
    "composed",
    partial(_workload, "composed", "composed of three parts", COMPOSED_PATH),
    partial(proofs.prove_composed, path=COMPOSED_PATH),
)
DUTIES = (PLAIN, CANARY_SPLIT, SHARED_SECRET, ISSUER_KEYS, RATE_LIMIT, COMPOSED)
