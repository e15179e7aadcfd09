"""The steps' own requests: health, the seam's report, samples for comparison. All bounded."""

import json
from collections.abc import Callable
from typing import Any

import requests

from strangler_proxy.compare import Answer
from strangler_proxy.steps.gates.answers import Sample
from strangler_proxy.steps.gates.traffic import Unobservable

TIMEOUT_S = 5.0
MAX_BODY_BYTES = 64 * 2**20


def ask(origin: str, sample: Sample, timeout_s: float = TIMEOUT_S) -> Answer:
    """Send one safe request as it stands, follow no redirect, decode no coding.

    Raises Unobservable if no whole answer of at most MAX_BODY_BYTES comes back.
    """
    url = origin.rstrip("/") + sample.target
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy set in the environment must not come in between
            session.headers["Accept-Encoding"] = "identity"
            with session.request(
                sample.method, url, timeout=timeout_s, allow_redirects=False, stream=True
            ) as got:
                body = got.raw.read(MAX_BODY_BYTES + 1, decode_content=False)
                headers = tuple(got.raw.headers.items())
                if len(body) > MAX_BODY_BYTES:
                    raise Unobservable(f"{url} answers more than {MAX_BODY_BYTES} bytes")
                return Answer(got.status_code, headers, body)
    except (requests.RequestException, OSError) as fault:
        raise Unobservable(f"{url} does not answer: {_reason(fault)}") from fault


def get_json(origin: str, target: str, timeout_s: float = TIMEOUT_S) -> Any:
    """The JSON that a 200 answer holds. Raises Unobservable."""
    answer = ask(origin, Sample("GET", target), timeout_s)
    if answer.status != 200:
        raise Unobservable(f"{origin}{target} answers {answer.status}")
    try:
        return json.loads(answer.body)
    except ValueError as fault:
        raise Unobservable(f"{origin}{target} does not answer JSON") from fault


def health_of(origin: str, target: str, service: str | None = None) -> Callable[[], str | None]:
    """A check of `origin``target`: 200, and the given name under `service` if one is expected."""

    def check() -> str | None:
        try:
            said = get_json(origin, target) if service else ask(origin, Sample("GET", target))
        except Unobservable as fault:
            return str(fault)
        if isinstance(said, Answer):
            return None if said.status == 200 else f"{origin}{target} answers {said.status}"
        if not isinstance(said, dict) or said.get("service") != service:
            return f"{origin}{target} is not the {service} service: it says {str(said)[:80]}"
        return None

    return check


def _reason(fault: BaseException) -> str:
    """The innermost cause: what the operating system said, without the layers around it."""
    while fault.__context__ is not None:
        fault = fault.__context__
    return str(fault)
