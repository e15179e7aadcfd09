"""The worker processes: started on their sockets, ordered about, and replaced when they die.

A configuration is served when every worker has confirmed it; one that any refuses is served by
none.
"""

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from strangler_proxy.admin.proxy import HoldRefused
from strangler_proxy.config import Config, ConfigError, Problem
from strangler_proxy.serve.figures import Figures, Past
from strangler_proxy.serve.link import Link, LinkClosed, Message

log = logging.getLogger(__name__)
ORDER_TIMEOUT_S = 10.0
COUNTS_EVERY_S = 1.0
_QUICK_DEATH_S = 1.0
_LONGEST_PAUSE_S = 5.0


class Worker:
    """The supervisor's side of one worker process."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link) -> None:
        self.process = process
        self.link = link
        self.running = asyncio.get_running_loop().create_task(link.run())
        self.started = time.monotonic()
        self.figures: Figures = {}
        """What it told last."""

    async def order(self, **message: Any) -> Message:
        """Have something done; ConfigError when the worker refuses.

        Raises LinkClosed when it is gone, TimeoutError when it does not answer.
        """
        answer = await self.link.call(message, ORDER_TIMEOUT_S)
        if "error" in answer:
            raise ConfigError([Problem("", None, "", str(answer["error"]))])
        return answer

    def end(self) -> None:
        """Kill it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


class Crew:
    """All workers of a proxy.

    `shared`: file descriptors for each, by the names of its options; `briefing` is what goes with a
    configuration to each; `asked` answers their questions.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        shared: dict[str, int],
        briefing: Callable[[Config], Message],
        asked: Callable[[Message], Awaitable[Message]],
    ) -> None:
        self.past = Past()
        self.changing = asyncio.Lock()
        """Held while workers are given something that all must agree on."""
        self._sockets, self._shared = sockets, shared
        self._briefing, self._asked = briefing, asked
        self._workers: dict[int, Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._served: tuple[Config, int] | None = None
        self._stopping = False

    # --- processes

    async def start(self, config: Config, generation: int) -> None:
        """Start all workers and wait until they serve; ConfigError when one cannot."""
        self._served = (config, generation)
        for slot in range(len(self._sockets)):
            self._workers[slot] = await self._spawn(slot)
            await self._give(self._workers[slot], config, generation)
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(self._keep(slot)) for slot in self._workers]

    async def _spawn(self, slot: int) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as unless_started:
            unless_started.callback(ours.close)
            passed = {
                "--listen-fd": self._sockets[slot].fileno(),
                "--link-fd": theirs.fileno(),
                **self._shared,
            }
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "strangler_proxy.serve.worker"),
                *(text for name, fd in passed.items() for text in (name, str(fd))),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=tuple(passed.values()),
            )
            unless_started.pop_all()
        return Worker(process, await Link.over(ours, self._asked))

    async def _give(
        self, worker: Worker, config: Config, generation: int, hold: str | None = None
    ) -> None:
        await worker.order(
            order="serve",
            config=config.model_dump(mode="json", exclude_unset=True),
            generation=generation,
            hold=hold,
            **self._briefing(config),
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
            self.past.take(worker.figures)
            worker.figures = {}
            quick = time.monotonic() - worker.started < _QUICK_DEATH_S
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S) if quick else 0.1
            log.error("worker %d died (%s); starting another", worker.process.pid, _ending(code))
            if quick:
                await asyncio.sleep(pause_s)
            async with self.changing:
                if self._stopping:
                    return
                await self._replace(slot)
                if self._stopping:
                    self._workers[slot].end()

    async def _replace(self, slot: int) -> None:
        try:
            worker = self._workers[slot] = await self._spawn(slot)
        except OSError as fault:  # no process to be had just now; the dead one is found dead again
            log.error("no worker can be started: %s", fault)  # noqa: TRY400 - the reason is told
            return
        try:
            if self._served is not None:
                await self._give(worker, *self._served)
        except (ConfigError, LinkClosed, TimeoutError) as fault:
            log.error("the new worker does not serve: %s", fault or type(fault).__name__)  # noqa: TRY400 - no trace: the reason is told
            # Its clients would wait for ever on a socket that nobody reads: try with another.
            worker.end()

    async def stop(self) -> None:
        """Let the workers finish what is in flight."""
        self._stopping = True
        for worker in self._workers.values():
            if worker.process.returncode is None:
                worker.process.terminate()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def kill(self) -> None:
        """End the workers without waiting for their clients."""
        for worker in self._workers.values():
            if worker.process.returncode is None:
                worker.process.kill()

    # --- orders; whoever gives one that all must agree on holds `changing`

    async def install(self, config: Config, generation: int, hold: str | None = None) -> None:
        """Have all serve by this configuration; ConfigError, with the old one served, when not.

        Under a `hold` every worker must still keep it, and none may have died.
        """
        given: list[Worker] = []
        try:
            for worker in list(self._workers.values()):
                given.append(worker)
                try:
                    await self._give(worker, config, generation, hold)
                except LinkClosed:
                    if hold is not None:
                        raise _lost(hold) from None
                    # Dead: its successor gets what wins.
        except (ConfigError, TimeoutError) as fault:
            await self._give_back(given)
            reason = str(fault) or "a worker did not confirm in time"
            raise ConfigError([Problem("", None, "", reason)]) from fault
        self._served = (config, generation)

    async def _give_back(self, workers: list[Worker]) -> None:
        """Serve by the old configuration again; a worker that cannot even do that is replaced."""
        for worker in workers:
            try:
                if self._served is not None:
                    await self._give(worker, *self._served)
            except (ConfigError, LinkClosed, TimeoutError):
                worker.end()

    async def hold(self, order: Message) -> None:
        """Have all park the requests of some routes; HoldRefused, with nothing parked, when not."""
        workers = list(self._workers.values())
        asked = [worker.order(order="hold", **order) for worker in workers]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                why = (
                    "a worker has died" if isinstance(answer, LinkClosed) else "a worker is silent"
                )
            elif "refused" in answer:
                why = str(answer["refused"])
            else:
                continue
            await self.release(order["name"])
            raise HoldRefused(why)

    async def release(self, name: str) -> list[Message]:
        """Have all send on what a hold has; what each held, or why it did not last."""
        workers = list(self._workers.values())
        asked = [worker.order(order="release", name=name) for worker in workers]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        lost: Message = {"broken": "a worker has died or is silent"}
        return [lost if isinstance(each, BaseException) else each for each in answers]

    async def tell(self, news: Message) -> bool:
        """Tell all of new addresses and keys; whether every one has heard."""
        told = True
        for worker in list(self._workers.values()):
            try:
                await worker.order(order="news", **news)
            except LinkClosed:
                pass  # dead: its successor is given what there is then
            except (TimeoutError, ConfigError):
                log.warning("worker %d did not take new addresses or keys", worker.process.pid)
                told = False
        return told

    async def status(self) -> list[Message]:
        """What each is."""
        return [answer for _, answer in await self._ask("status")]

    async def figures(self) -> list[Figures]:
        """The figures of all; of one that does not answer, the last that it told."""
        for worker, answer in await self._ask("figures"):
            worker.figures = answer
        return [worker.figures for worker in self._workers.values()]

    async def count(self) -> None:
        """Ask for figures again and again: a worker that is killed takes only the last with it."""
        while True:
            await asyncio.sleep(COUNTS_EVERY_S)
            await self.figures()

    async def _ask(self, order: str) -> list[tuple[Worker, Message]]:
        answers = []
        for worker in list(self._workers.values()):
            try:
                answers.append((worker, await worker.order(order=order)))
            except LinkClosed:
                pass  # dead, which its keeper tells
            except (TimeoutError, ConfigError):
                log.warning("worker %d does not answer", worker.process.pid)
        return answers


def _lost(hold: str) -> ConfigError:
    told = f"the hold '{hold}' is over: a worker that kept it has died"
    return ConfigError([Problem("", None, "", told)])


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
