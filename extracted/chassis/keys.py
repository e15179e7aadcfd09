"""The public keys of whoever signs tokens, by the JWK set (RFC 7517) at its address.

A key that is known is found without waiting for anybody, whether its issuer is up or down. A name
that is not known is asked for, but the issuer is asked once in two seconds at most, however many
names are made up. A set that cannot be used never replaces one that can. Who starts a `KeyWatch` on
them has the keys before a token needs them.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import jwt

from extracted.chassis.client import ServiceClient, ServiceUnavailableError
from extracted.chassis.private_file import write_private

log = logging.getLogger(__name__)

REFRESH_S = 60.0
ASK_AGAIN_S = 2.0
TIMEOUT_S, TOTAL_S = 2.0, 3.0
# By kty and crv: the one algorithm that such a key serves, whatever a token says. Never a secret.
ALGORITHMS = {("OKP", "Ed25519"): "EdDSA", ("RSA", None): "RS256"}
MIN_RSA_BITS = 2048

Jwks = dict[str, jwt.PyJWK]


class KeysUnavailableError(Exception):
    """Whether there is such a key cannot be told now, because its issuer cannot be asked."""


class Keys(Protocol):
    """Finds public keys by name."""

    def find(self, kid: str) -> jwt.PyJWK | None:
        """The key, or None when the issuer has none of this name. Raises KeysUnavailableError."""
        ...


class JwksKeys:
    """The keys at `url`, asked at the first `refresh` or `find`; for any number of threads.

    They are kept in `cache_file` too, which processes may share, so that one which starts while the
    issuer is down, or has not asked before, can check tokens. Whoever can write that file can make
    tokens: it is its owner's alone.
    """

    def __init__(
        self,
        url: str,
        cache_file: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._cache_file = cache_file
        self._clock = clock
        self._keys = self._kept()
        self._asking = threading.Lock()
        self._asked_at = self._answered_at = self._refreshed_at = float("-inf")
        self._failing = False

    def find(self, kid: str) -> jwt.PyJWK | None:
        """See `Keys`. Waits three seconds at most, and for a known key not at all."""
        key = self._keys.get(kid)
        if key is None:
            return self._asked_for(kid)
        stale = self._clock() - self._refreshed_at >= REFRESH_S
        if stale and self._may_ask() and not self._asking.locked():
            threading.Thread(target=self._ask_beside, name="jwks", daemon=True).start()
        return key

    def refresh(self) -> bool:
        """Ask the issuer, whether somebody has just asked or not; whether it gave keys.

        It does not count as a question: a name that is not known a moment later is still asked for.
        """
        with self._asking:
            self._ask()
            return not self._failing

    def _asked_for(self, kid: str) -> jwt.PyJWK | None:
        came_at = self._clock()
        with self._asking:  # whoever waits here is served by the answer to who came first
            if kid not in self._keys and self._answered_at <= came_at:
                self._ask_by_turns()
            key = self._keys.get(kid)
        if key is None and self._failing:
            raise KeysUnavailableError(f"the keys at {self._url} cannot be fetched")
        return key

    def _ask_beside(self) -> None:
        with self._asking:
            self._ask_by_turns()

    def _ask_by_turns(self) -> None:
        if self._may_ask():
            self._ask()
            # Counted from the end: an issuer that is slow is not asked without a pause.
            self._asked_at = self._clock()

    def _may_ask(self) -> bool:
        return self._clock() - self._asked_at >= ASK_AGAIN_S

    def _ask(self) -> None:
        try:
            jwks = _fetched(self._url)
            keys = usable(jwks)
        except (ServiceUnavailableError, ValueError) as error:
            self._failed(error)
        else:
            self._succeeded(jwks, keys)
        self._answered_at = self._clock()

    def _failed(self, error: Exception) -> None:
        if not self._failing:
            log.warning("Keys of tokens cannot be fetched, the known ones stay in use: %s", error)
        self._failing = True
        # Another process of this machine may have fetched them while it was up.
        self._keys = {**self._kept(), **self._keys}

    def _succeeded(self, jwks: Mapping[str, Any], keys: Jwks) -> None:
        if self._failing:
            log.info("Keys of tokens are fetched from %s again", self._url)
        changed = keys.keys() != self._keys.keys()
        self._failing, self._keys, self._refreshed_at = False, keys, self._clock()
        if changed and self._cache_file is not None:
            try:
                kept = {"url": self._url, "keys": jwks["keys"]}
                write_private(self._cache_file, json.dumps(kept))
            except OSError as error:
                log.warning("Keys of tokens are not kept over a restart: %s", error)

    def _kept(self) -> Jwks:
        """What the file holds, if it is of this issuer; without a good file, nothing."""
        if self._cache_file is None:
            return {}
        try:
            kept = json.loads(self._cache_file.read_text(encoding="utf-8"))
            return usable(kept) if kept["url"] == self._url else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError) as error:
            log.warning("Kept keys of tokens cannot be used: %s: %s", self._cache_file, error)
            return {}


def usable(jwks: Mapping[str, Any]) -> Jwks:
    """The keys of a set that tokens may be signed with, by name; all others are left out.

    Raises ValueError when there is none.
    """
    members = jwks.get("keys")
    found = [_usable(jwk) for jwk in members] if isinstance(members, list) else []
    keys = dict(filter(None, found))
    if not keys:
        raise ValueError("there is no public key for EdDSA or RS256 in the answer")
    return keys


def _usable(jwk: Any) -> tuple[str, jwt.PyJWK] | None:
    """Not a key without a name, for another purpose, weak, or published with its private part."""
    if not isinstance(jwk, dict) or "d" in jwk or not isinstance(jwk.get("kid"), str):
        return None
    try:
        algorithm = ALGORITHMS.get((jwk.get("kty"), jwk.get("crv")))  # type: ignore[arg-type]
        wanted = jwk.get("alg", algorithm) == algorithm and jwk.get("use", "sig") == "sig"
        if algorithm is None or not wanted:
            return None
        key = jwt.PyJWK(jwk, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        return None
    if algorithm == "RS256" and key.key.key_size < MIN_RSA_BITS:
        return None
    return jwk["kid"], key


def _fetched(url: str) -> dict[str, Any]:
    # The client is made anew: a connection kept for minutes would serve nobody.
    with closing(ServiceClient(url, timeout_s=TIMEOUT_S, total_s=TOTAL_S)) as client:
        answer = client.request("GET", "")
    if answer.status != 200:
        raise ValueError(f"{url} answered {answer.status}")
    return answer.json
