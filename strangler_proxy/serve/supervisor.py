"""A running proxy as a whole: what it serves, and every change of that.

A change is made in all workers or in none, and is written into the audit file before it is made.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from strangler_proxy.admin.audit import AuditFailed, AuditLog, audit_path
from strangler_proxy.admin.changes import Change, changes
from strangler_proxy.admin.orders import HoldOrder
from strangler_proxy.admin.proxy import HoldRefused
from strangler_proxy.config import Config, ConfigError, Problem, load
from strangler_proxy.routing import DEFAULT
from strangler_proxy.serve.crew import HOLD_ANSWER_S, LET_GO_S, Crew
from strangler_proxy.serve.edition import Edition
from strangler_proxy.serve.figures import (
    Figures,
    by_route,
    event_rows,
    pools,
    side_rows,
    upstream_rows,
)
from strangler_proxy.serve.link import Message
from strangler_proxy.serve.sockets import listen
from strangler_proxy.serve.surroundings import Surroundings

log = logging.getLogger(__name__)
_TELL_AGAIN_S = 1.0
_LOOK_AGAIN_S = 0.05
RENEWED = Change("tls", "its files as they were", "its files read again")


class Supervisor:
    """The workers and the configuration they serve."""

    def __init__(self, path: Path, config: Config, workers: int) -> None:
        self.config_path = path
        self.config = config
        self.stop_wanted = asyncio.Event()
        self.stopping = False
        """Whether what is in flight is only being finished."""
        self._served = Edition.of(config, 1)
        self._sockets = listen(config.address, workers)
        self._around = Surroundings(path, config, self._members_changed, self._keys_changed)
        shared = {"--board-fd": self._around.board.fd, "--limits-fd": self._around.limits_fd}
        self._crew = Crew(self._sockets, shared, self._around.briefing, self._asked)
        self._audit = AuditLog(audit_path(config, path))
        self._holds = 0
        self._reloads: dict[str, Any] = {"served": 0, "refused": 0, "last_unix_s": None}
        self._changed_members: set[str] = set()
        self._changed_keys: set[str] = set()
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def listening_on(self) -> str:
        """The address with its real port, such as 127.0.0.1:8000."""
        host, port = self._sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def start(self) -> None:
        """Start all workers and wait until they serve; ConfigError when one cannot."""
        self._around.serve(self.config)
        await self._around.first_answers()
        await self._crew.start(self._served)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._tell_news()), loop.create_task(self._crew.count())]

    async def stop(self) -> None:
        """Let the workers finish what is in flight."""
        self.stopping = True
        for sock in self._sockets:
            sock.close()
        for task in self._tasks:
            task.cancel()
        await self._crew.stop()
        await self._around.close()

    def kill(self) -> None:
        """End the workers without waiting for their clients."""
        self._crew.kill()

    # --- what changes around the workers

    def _members_changed(self, names: frozenset[str]) -> None:
        self._changed_members |= names
        self._news.set()

    def _keys_changed(self, url: str) -> None:
        self._changed_keys.add(url)
        self._news.set()

    async def _tell_news(self) -> None:
        """Tell all workers of new addresses and keys, again until every one has heard."""
        while True:
            await self._news.wait()
            # Not in the middle of a reload: what belongs to a file comes and goes with it.
            async with self._crew.changing:
                self._news.clear()
                names, self._changed_members = frozenset(self._changed_members), set()
                urls, self._changed_keys = frozenset(self._changed_keys), set()
                told = await self._crew.tell(self._around.news(names, urls))
            if not told:
                await asyncio.sleep(_TELL_AGAIN_S)
                self._changed_members |= names
                self._changed_keys |= urls
                self._news.set()

    async def _asked(self, message: Message) -> Message:
        """Answer a worker's question."""
        if message.get("ask") == "keys":
            return {"jwks": await self._around.refresh_keys(message["url"])}
        return {"error": f"unknown question {message.get('ask')}"}

    # --- changes

    async def follow_file(self) -> int:
        """Read the file again because somebody changed it; as `reload`.

        Not while a hold is in force: what changes then is its holder's, to be served under it or
        to be put back.
        """
        while True:
            async with self._crew.changing:
                if not self._crew.is_holding():
                    return await self._read_again("file", None)
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def reload(self, who: str, hold: str | None = None) -> int:
        """Read the file again and serve by it; the generation that all workers now serve.

        Under a `hold` only while every worker keeps it: what is held then goes on by the new file,
        once it is released. Raises ConfigError or AuditFailed, with the old configuration still
        served everywhere.
        """
        async with self._crew.changing:
            return await self._read_again(who, hold)

    async def _read_again(self, who: str, hold: str | None) -> int:
        try:
            config = await asyncio.to_thread(load, self.config_path)
            self._refuse_unchangeable(config)
            edition = await asyncio.to_thread(Edition.of, config, self._served.generation + 1)
            if edition.digest != self._served.digest:
                await self._change_to(edition, who, hold)
        except (ConfigError, AuditFailed):
            self._reloads["refused"] += 1
            raise
        return self._served.generation

    async def _change_to(self, edition: Edition, who: str, hold: str | None) -> None:
        config = edition.config
        made = changes(self.config, config) or [RENEWED]
        await asyncio.to_thread(self._audit.record, who, *made)
        self._around.serve(config, self.config)
        if hold is None:  # which does not last so long
            await self._around.first_answers()
        try:
            await self._crew.install(edition, hold)
        except ConfigError as refused:
            self._around.serve(self.config)
            with contextlib.suppress(AuditFailed):  # the refusal is what counts, and is told
                await asyncio.to_thread(self._undone, who, made, str(refused))
            raise
        self._around.serve(config)
        self.config, self._served = config, edition
        self._reloads["served"] += 1
        self._reloads["last_unix_s"] = time.time()
        log.info("serving generation %d of %s", edition.generation, self.config_path)

    def _undone(self, who: str, made: list[Change], reason: str) -> None:
        self._audit.undone(who, *made, reason=reason)

    def _refuse_unchangeable(self, config: Config) -> None:
        old = self.config
        changed = {
            "listen": config.listen != old.listen,
            "admin": config.admin != old.admin,
            "audit": config.audit != old.audit,
            "tls": (config.tls is None) != (old.tls is None),
            "limit_store.entries": config.limit_store.entries != old.limit_store.entries,
        }
        message = "cannot change while the proxy runs: restart it, or put the old value back"
        path = str(self.config_path)
        problems = [Problem(path, None, key, message) for key, new in changed.items() if new]
        if problems:
            raise ConfigError(problems)

    async def hold(self, order: HoldOrder, who: str, waited_for: Callable[[], bool]) -> str:
        """Park the requests of some routes in every worker; the name of the hold.

        Returns when all that had been sent before is answered. Raises HoldRefused, with nothing
        parked, when that is not so in time or anything speaks against it; LookupError, AuditFailed.
        Both within `drain_s`, HOLD_ANSWER_S and LET_GO_S. `waited_for` says whether whoever asked
        is still there: a hold that nobody waits for is not begun, or is ended at once.
        """
        for route in order.routes:
            if route != DEFAULT and self.config.route(route) is None:
                known = ", ".join([*(each.name for each in self.config.routes), DEFAULT])
                raise LookupError(f"there is no route '{route}'; there are: {known}")
        deadline = time.monotonic() + order.drain_s + HOLD_ANSWER_S
        async with self._changing_by(deadline):
            self._holds += 1
            name = f"{os.getpid()}-{self._holds}"
            await self._record(who, "held", None, {"hold": name, **order.model_dump()})
            answer_s = deadline - time.monotonic()
            if answer_s <= 0 or not waited_for():
                raise HoldRefused("the proxy came to it too late")
            await self._crew.hold({"name": name, **order.model_dump()}, answer_s)
            if not waited_for():
                await self._crew.release(name, LET_GO_S)
                raise HoldRefused("nobody waits for it any more")
        return name

    @contextlib.asynccontextmanager
    async def _changing_by(self, deadline: float) -> AsyncIterator[None]:
        """In the midst of no other change; HoldRefused when one goes on past the deadline."""
        changing = self._crew.changing
        try:
            await asyncio.wait_for(changing.acquire(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise HoldRefused(
                "another change is under way, or a worker is being replaced"
            ) from None
        try:
            yield
        finally:
            changing.release()

    async def release(self, name: str, who: str) -> Message:
        """Send on what is held, in order: how many requests, the longest hold, why it did not last.

        `broken` is None when every worker kept it until now.
        """
        told = await self._crew.release(name)
        broken = [str(each["broken"]) for each in told if each.get("broken")]
        lasted_s = max((each.get("lasted_s", 0.0) for each in told), default=0.0)
        held = sum(each.get("held", 0) for each in told)
        result = {"held": held, "lasted_s": lasted_s, "broken": broken[0] if broken else None}
        await self._record(who, "held", name, result)
        return result

    async def set_breaker(self, upstream: str, state: str, who: str) -> None:
        """Force a breaker `open` or `closed`, or leave it to itself: `auto`.

        Raises LookupError when there is none, ValueError for another word, AuditFailed.
        """
        if state not in ("open", "closed", "auto"):
            raise ValueError(f"'{state}' is no state of a breaker: write open, closed or auto")
        breaker = self._around.breaker(upstream)
        before = breaker.forced or breaker.state(time.monotonic())
        await self._record(who, f"upstreams.{upstream}.breaker", before, state)
        breaker.force(state)

    async def drain_address(self, upstream: str, address: str, draining: bool, who: str) -> None:
        """Take an address out of service or back in; returns when every worker has heard.

        Raises LookupError when there is no such address, AuditFailed, TimeoutError.
        """
        membership = self._around.membership
        async with self._crew.changing:
            member = membership.member(upstream, address)
            what = f"upstreams.{upstream}.addresses.{member.address}.draining"
            await self._record(who, what, member.draining, draining)
            membership.drain(upstream, address, draining)
            news = self._around.news(frozenset([upstream]), frozenset())
            if not await self._crew.tell(news):
                raise TimeoutError("a worker has not confirmed yet; it is told again")

    async def stop_by(self, who: str) -> None:
        """Finish what is in flight and stop, as after SIGTERM. Raises AuditFailed."""
        await self._record(who, "the proxy", "serving", "draining")
        self.stop_wanted.set()

    async def _record(self, who: str, what: str, before: Any, after: Any) -> None:
        await asyncio.to_thread(self._audit.record, who, Change(what, before, after))

    # --- what there is to see

    async def status(self) -> Message:
        """Who serves what."""
        return {
            "pid": os.getpid(),
            "listen": self.listening_on,
            "config": str(self.config_path),
            "generation": self._served.generation,
            "digest": self._served.digest,
            "workers": await self._crew.status(),
        }

    async def counts(self) -> Message:
        """The counts of every side of every route, over all workers that were ever there."""
        sides, _ = self._crew.past.with_living(await self._crew.figures())
        return by_route(sides)

    async def figures(self) -> Message:
        """Everything that is counted, and how the upstreams are now."""
        told = await self._crew.figures()
        sides, events = self._crew.past.with_living(told)
        return {
            "generation": self._served.generation,
            "reloads": dict(self._reloads),
            "workers": [each["worker"] for each in told if "worker" in each],
            "sides": side_rows(sides, self.config),
            "events": event_rows(events),
            "upstreams": self._upstream_rows(told),
        }

    async def upstreams(self) -> list[Message]:
        """Every upstream: addresses, who is well, draining or left out, requests in flight."""
        return self._upstream_rows(await self._crew.figures())

    async def keys(self) -> list[Message]:
        """What is known of each issuer of tokens."""
        return self._around.key_status()

    def _upstream_rows(self, told: list[Figures]) -> list[Message]:
        known, breakers = self._around.membership.status(), self._around.breakers()
        return upstream_rows(known, pools(told), breakers, time.monotonic())
