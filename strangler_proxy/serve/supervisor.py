"""Starts the workers, gives all of them each new configuration, and replaces those that die.

A configuration is served when every worker has confirmed it; one that any part refuses changes
nothing anywhere.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from strangler_proxy.config import Config, ConfigError, Problem, load
from strangler_proxy.running.counts import SideCounts
from strangler_proxy.serve.link import Link, LinkClosed, Message
from strangler_proxy.serve.sockets import listen

log = logging.getLogger(__name__)
ORDER_TIMEOUT_S = 10.0
_QUICK_DEATH_S = 1.0
_LONGEST_PAUSE_S = 5.0


class Worker:
    """The supervisor's side of one worker process."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link) -> None:
        self.process = process
        self.link = link
        self.running = asyncio.get_running_loop().create_task(link.run())
        self.started = time.monotonic()
        self.last_counts: list[Message] = []

    async def order(self, **message: Any) -> Message:
        """Have something done; ConfigError when the worker refuses."""
        answer = await self.link.call(message, ORDER_TIMEOUT_S)
        if "error" in answer:
            raise ConfigError([Problem("", None, "", str(answer["error"]))])
        return answer


class Supervisor:
    """A running proxy: its workers and the configuration they serve."""

    def __init__(self, path: Path, config: Config, workers: int) -> None:
        self._path = path
        self._config = config
        self._sockets = listen(config.address, workers)
        self._workers: dict[int, Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._past = list[Message]()
        """What workers that have died had counted."""
        self._generation = 1
        self._digest = digest(config)
        self._changing = asyncio.Lock()
        self._stopping = False

    @property
    def listening_on(self) -> str:
        """The address with its real port, such as 127.0.0.1:8000."""
        host, port = self._sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def start(self) -> None:
        """Start all workers and wait until they serve; ConfigError when one cannot."""
        for slot in range(len(self._sockets)):
            self._workers[slot] = await self._spawn(slot)
            await self._give(self._workers[slot], self._config, self._generation)
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(self._keep(slot)) for slot in self._workers]

    async def _spawn(self, slot: int) -> Worker:
        ours, theirs = socket.socketpair()
        listening = self._sockets[slot]
        with theirs, contextlib.ExitStack() as unless_started:
            unless_started.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "strangler_proxy.serve.worker"),
                *("--listen-fd", str(listening.fileno()), "--link-fd", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(listening.fileno(), theirs.fileno()),
            )
            unless_started.pop_all()
        return Worker(process, await Link.over(ours))

    async def _give(self, worker: Worker, config: Config, generation: int) -> None:
        await worker.order(
            order="serve",
            config=config.model_dump(mode="json", exclude_unset=True),
            generation=generation,
        )

    async def _keep(self, slot: int) -> None:
        """Put a new worker in the place of one that has died."""
        pause_s = 0.1
        while True:
            worker = self._workers[slot]
            code = await worker.process.wait()
            await worker.running
            if self._stopping:
                return
            self._past += worker.last_counts
            worker.last_counts = []
            quick = time.monotonic() - worker.started < _QUICK_DEATH_S
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S) if quick else 0.1
            log.error("worker %d died (%s); starting another", worker.process.pid, _ending(code))
            if quick:
                await asyncio.sleep(pause_s)
            async with self._changing:
                if self._stopping:
                    return
                await self._replace(slot)
                if self._stopping:
                    _end(self._workers[slot])

    async def _replace(self, slot: int) -> None:
        try:
            worker = self._workers[slot] = await self._spawn(slot)
        except OSError as fault:  # no process to be had just now; the dead one is found dead again
            log.error("no worker can be started: %s", fault)  # noqa: TRY400 - the reason is told
            return
        try:
            await self._give(worker, self._config, self._generation)
        except (ConfigError, LinkClosed, TimeoutError) as fault:
            log.error("the new worker does not serve: %s", fault or type(fault).__name__)  # noqa: TRY400 - no trace: the reason is told
            # Its clients would wait for ever on a socket that nobody reads: try with another.
            _end(worker)

    async def reload(self) -> int:
        """Read the file again and serve by it; the generation that all workers now serve.

        Raises ConfigError, with the old configuration still served everywhere.
        """
        async with self._changing:
            config = load(self._path)
            problems = list(self._unchangeable(config))
            if problems:
                raise ConfigError(problems)
            if digest(config) == self._digest:
                return self._generation
            await self._install(config)
            return self._generation

    async def _install(self, config: Config) -> None:
        generation = self._generation + 1
        given: list[Worker] = []
        try:
            for worker in list(self._workers.values()):
                given.append(worker)
                with contextlib.suppress(LinkClosed):  # dead: its successor gets what wins
                    await self._give(worker, config, generation)
        except (ConfigError, TimeoutError) as fault:
            await self._give_back(given)
            reason = str(fault) or "a worker did not confirm in time"
            raise ConfigError([Problem(str(self._path), None, "", reason)]) from fault
        self._config, self._digest, self._generation = config, digest(config), generation
        log.info("serving generation %d of %s", generation, self._path)

    async def _give_back(self, workers: list[Worker]) -> None:
        """Serve by the old configuration again; a worker that cannot even do that is replaced."""
        for worker in workers:
            try:
                await self._give(worker, self._config, self._generation)
            except (ConfigError, LinkClosed, TimeoutError):
                _end(worker)

    def _unchangeable(self, config: Config) -> list[Problem]:
        old = self._config
        changed = {
            "listen": config.listen != old.listen,
            "admin": config.admin != old.admin,
            "tls": (config.tls is None) != (old.tls is None),
        }
        message = "cannot change while the proxy runs: restart it, or put the old value back"
        return [Problem(str(self._path), None, key, message) for key, new in changed.items() if new]

    async def status(self) -> Message:
        """Who serves what."""
        workers = await self._ask_all("status")
        return {
            "pid": os.getpid(),
            "listen": self.listening_on,
            "config": str(self._path),
            "generation": self._generation,
            "digest": self._digest,
            "workers": workers,
        }

    async def counts(self) -> Message:
        """The figures of every side of every route, over all workers that were ever there."""
        rows = list(self._past)
        for worker in list(self._workers.values()):
            try:
                worker.last_counts = (await worker.order(order="counts"))["counts"]
            except (LinkClosed, TimeoutError):
                log.warning("worker %d did not tell its counts", worker.process.pid)
            rows += worker.last_counts
        merged: dict[str, dict[str, SideCounts]] = {}
        for row in rows:
            sides = merged.setdefault(row["route"], {})
            before = sides.get(row["upstream"], SideCounts())
            sides[row["upstream"]] = before + SideCounts.from_json(row)
        return {
            route: {upstream: side.as_json() for upstream, side in sides.items()}
            for route, sides in merged.items()
        }

    async def _ask_all(self, order: str) -> list[Message]:
        answers = []
        for worker in list(self._workers.values()):
            try:
                answers.append(await worker.order(order=order))
            except (LinkClosed, TimeoutError):
                log.warning("worker %d does not answer", worker.process.pid)
        return answers

    async def stop(self, *, at_once: bool = False) -> None:
        """Let the workers finish what is in flight, or kill them."""
        self._stopping = True
        for sock in self._sockets:
            sock.close()
        for worker in self._workers.values():
            if worker.process.returncode is None:
                if at_once:
                    worker.process.kill()
                else:
                    worker.process.terminate()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def kill(self) -> None:
        """End the workers without waiting for their clients."""
        for worker in self._workers.values():
            if worker.process.returncode is None:
                worker.process.kill()


def digest(config: Config) -> str:
    """A short name for a configuration's content, that of its certificate included."""
    content = hashlib.sha256(config.model_dump_json().encode())
    for file in (config.tls.certificate, config.tls.key) if config.tls else ():
        with contextlib.suppress(OSError):  # the worker that cannot read it says so
            content.update(Path(file).read_bytes())
    return content.hexdigest()[:16]


def _end(worker: Worker) -> None:
    with contextlib.suppress(ProcessLookupError):
        worker.process.kill()


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
