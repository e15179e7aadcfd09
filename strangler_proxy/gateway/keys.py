"""The issuers' public keys for all workers: fetched here, kept while the issuer is down.

Everything goes by the JWKS' URL, not by the name of a check: keys reach nobody who did not name
that URL, even while a file that gives a check another URL is being taken up. A set that cannot be
used never replaces one that can.
"""

import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from strangler_proxy.config import TokenCheck
from strangler_proxy.policies.token_keys import public_keys

log = logging.getLogger(__name__)
SET_BYTES = 256 * 1024
_HEADERS = {
    "Accept": "application/jwk-set+json, application/json",
    "Accept-Encoding": "identity",  # a small answer must not become a large one
    "User-Agent": "strangler-proxy",
}

Jwks = dict[str, Any]
"""`{"keys": [...]}` with the keys alone that tokens can be verified with."""
Tell = Callable[[str, Jwks], None]


class BadAnswer(Exception):
    """What the issuer sent is no set of keys; says why."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often an issuer is asked, in seconds, besides the refreshes that the file sets."""

    timeout_s: float = 3
    retry_s: float = 1
    """After a failure; doubled with each that follows."""
    longest_retry_s: float = 30
    asked_s: float = 5
    """Keys that no known one fits are looked for this often: tokens can name any key they like."""


def pause_s(refresh_s: float, failures: int, pace: Pace) -> float:
    """Seconds until the next fetch, after so many failures in a row."""
    if not failures:
        return refresh_s
    return min(pace.retry_s * 2.0 ** min(failures - 1, 30), pace.longest_retry_s)


class KeyStore:
    """The keys of every issuer that the file names. Belongs to one event loop."""

    def __init__(
        self,
        tell: Tell,
        clock: Callable[[], float],
        pace: Pace | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        """`tell(url, jwks)` is called when a set has changed; `clock` is monotonic."""
        self._tell, self._clock, self._rng = tell, clock, rng
        self._pace = pace or Pace()
        self._sources: dict[str, _Source] = {}
        self._stopped: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def configure(self, *tables: Mapping[str, TokenCheck]) -> None:
        """Keep the keys of these checks and no others; the first fetch begins at once.

        While one file takes the place of another, give the tables of both: the keys of neither
        are missing, whichever is served in the end.
        """
        wanted: dict[str, dict[str, TokenCheck]] = {}
        for name, check in (item for table in tables for item in table.items()):
            if check.jwks is not None:
                wanted.setdefault(check.jwks, {})[name] = check
        for url in self._sources.keys() - wanted.keys():
            for task in self._sources.pop(url).stop():
                self._stopped.add(task)
                task.add_done_callback(self._stopped.discard)
        for url, checks in wanted.items():
            source = self._sources.get(url)
            if source is None:
                session = self._open_session()
                source = _Source(url, session, self._tell, self._clock, self._pace, self._rng)
                self._sources[url] = source
            source.serve(checks)

    async def refresh(self, url: str) -> Jwks | None:
        """The keys after asking the issuer, if it was not asked just now; waits 3 s at most.

        None when there are none yet, or when no check names this URL (any more).
        """
        source = self._sources.get(url)
        return None if source is None else await source.refresh()

    def current(self) -> dict[str, Jwks]:
        """The last good keys by URL, for a worker that starts."""
        return {url: source.jwks for url, source in self._sources.items() if source.jwks}

    def status(self) -> list[dict[str, Any]]:
        """What is known of each issuer: names of its checks, keys, their age, why it fails."""
        return [source.status() for source in self._sources.values()]

    async def close(self) -> None:
        """Stop asking."""
        self.configure()
        if self._stopped:
            await asyncio.wait(self._stopped)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True),  # asked too seldom to keep any
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._pace.timeout_s),
                auto_decompress=False,
            )
        return self._session


class _Source:
    """One issuer: asked every so often by a task of its own, and on demand; never twice at once."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        tell: Tell,
        clock: Callable[[], float],
        pace: Pace,
        rng: Callable[[], float],
    ) -> None:
        self._url, self._session, self._tell = url, session, tell
        self._clock, self._pace, self._rng = clock, pace, rng
        self.jwks: Jwks | None = None
        self._names: list[str] = []
        self._refresh_s = 0.0
        self._fetched_at = 0.0
        self._asked_at: float | None = None
        self._failures = 0
        self._failing: str | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None

    def serve(self, checks: Mapping[str, TokenCheck]) -> None:
        """Be there for these checks, as often as the most eager of them asks for."""
        self._names = sorted(checks)
        refresh_s = min(check.refresh_s for check in checks.values())
        if refresh_s == self._refresh_s:
            return
        self._refresh_s = refresh_s
        if self._keeper is not None:
            self._keeper.cancel()  # it may be asleep for as long as the file said before
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    def stop(self) -> list[asyncio.Task[None]]:
        """Ask no more; gives the tasks that are ending."""
        tasks = [task for task in (self._keeper, self._fetch) if task is not None]
        for task in tasks:
            task.cancel()
        return tasks

    async def refresh(self) -> Jwks | None:
        """The keys after a fetch: one under way, or a new one unless one was asked for just now."""
        now = self._clock()
        if not self._fetching:
            if self._asked_at is not None and now - self._asked_at < self._pace.asked_s:
                return self.jwks
            self._asked_at = now
        await self._fetched()
        return self.jwks

    def status(self) -> dict[str, Any]:
        return {
            "name": ", ".join(self._names),
            "url": self._url,
            "keys": len(self.jwks["keys"]) if self.jwks else 0,
            "age_s": None if self.jwks is None else round(self._clock() - self._fetched_at, 1),
            "failing": self._failing,
        }

    async def _keep(self) -> None:
        while True:
            await self._fetched()
            pause = pause_s(self._refresh_s, self._failures, self._pace)
            # Proxies that were started together do not all ask together.
            await asyncio.sleep(pause * (0.9 + 0.2 * self._rng()))

    async def _fetched(self) -> None:
        """Wait for the one fetch under way, or for a new one; who waits may be cancelled alone."""
        if self._fetch is None or not self._fetching:
            self._fetch = asyncio.get_running_loop().create_task(self._take_up())
        await asyncio.wait({self._fetch})

    @property
    def _fetching(self) -> bool:
        return self._fetch is not None and not self._fetch.done()

    async def _take_up(self) -> None:
        try:
            keys = _usable(await self._get())
        except TimeoutError:
            self._failed(f"no whole answer within {self._pace.timeout_s:g} s")
        except (BadAnswer, aiohttp.ClientError, OSError, ValueError) as fault:
            self._failed(str(fault) or type(fault).__name__)
        except Exception as fault:
            log.exception("a fault of the proxy's own while fetching %s", self._url)
            self._failed(type(fault).__name__)
        else:
            self._succeeded({"keys": keys})

    async def _get(self) -> bytes:
        # A redirect may lead to a host that nobody has named: it is not followed.
        async with self._session.get(
            self._url, headers=_HEADERS, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise BadAnswer(f"the answer is {response.status}, not 200")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise BadAnswer("the answer is compressed, which was not asked for")
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > SET_BYTES:
                    raise BadAnswer(f"the answer is longer than {SET_BYTES} bytes")
            return bytes(body)

    def _failed(self, reason: str) -> None:
        self._failures += 1
        if self._failing is None:
            kept = "the keys fetched before stay in use" if self.jwks else "there are none yet"
            log.warning("keys of tokens cannot be fetched from %s: %s; %s", self._url, reason, kept)
        self._failing = reason

    def _succeeded(self, jwks: Jwks) -> None:
        if self._failing is not None:
            log.info("keys of tokens are fetched from %s again", self._url)
        self._failures, self._failing = 0, None
        self._fetched_at = self._clock()
        if jwks == self.jwks:
            return
        self.jwks = jwks
        try:
            self._tell(self._url, jwks)
        except Exception:
            log.exception("the new keys of %s could not be told", self._url)


def _usable(body: bytes) -> list[dict[str, str]]:
    """The keys that tokens can be verified with, and of each no more than that takes."""
    try:
        jwks = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise BadAnswer("the answer is not JSON") from None
    keys = public_keys(jwks) if isinstance(jwks, dict) else []
    if not keys:
        raise BadAnswer("the answer has no key for RS256, ES256 or EdDSA")
    return [key.jwk for key in keys]
