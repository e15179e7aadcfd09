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
from strangler_proxy.serve.edition import Edition
from strangler_proxy.serve.figures import Figures, Past
from strangler_proxy.serve.holding import Holding
from strangler_proxy.serve.link import Link, LinkClosed, Message

log = logging.getLogger(__name__)
ORDER_TIMEOUT_S = 10.0
HOLD_ANSWER_S = 0.35
"""So much longer than it waits for what was sent before may a worker take to answer."""
LET_GO_S = 0.2
"""So long are workers waited for to give back what one of them has refused."""
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

    async def order(self, timeout_s: float = ORDER_TIMEOUT_S, **message: Any) -> Message:
        """Have something done; ConfigError when the worker refuses.

        Raises LinkClosed when it is gone, TimeoutError when it does not answer.
        """
        answer = await self.link.call(message, timeout_s)
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
        self._served: Edition | None = None
        self._holding: Holding | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._stopping = False

    # --- processes

    async def start(self, edition: Edition) -> None:
        """Start all workers and wait until they serve; ConfigError when one cannot."""
        self._served = edition
        for slot in range(len(self._sockets)):
            self._workers[slot] = await self._spawn(slot)
            await self._give(self._workers[slot], edition)
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
        self,
        worker: Worker,
        edition: Edition,
        answer_s: float = ORDER_TIMEOUT_S,
        hold: str | None = None,
        held: Message | None = None,
    ) -> None:
        """`hold`: only if it keeps that one. `held`: what one that begins is to hold at once."""
        await worker.order(
            answer_s,
            order="serve",
            config=edition.config.model_dump(mode="json", exclude_unset=True),
            generation=edition.generation,
            pem=edition.pem,
            hold=hold,
            held=held,
            **self._briefing(edition.config),
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
            if self._holding is not None:
                self._holding.lost = _lost(worker.process.pid)
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
                holding = self._holding
                held = holding.rest(time.monotonic()) if holding is not None else None
                await self._give(worker, self._served, held=held)
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

    async def install(self, edition: Edition, hold: str | None = None) -> None:
        """Have all serve by this edition; ConfigError, with the old one served, when not.

        Under a `hold` every worker must still keep it, and answer while it lasts; the successor of
        one that has died begins with what is left of it.
        """
        answer_s = ORDER_TIMEOUT_S if hold is None else self._answer_s_under(hold)
        deadline = time.monotonic() + answer_s
        given: list[Worker] = []
        try:
            for worker in list(self._workers.values()):
                left_s = max(0.0, deadline - time.monotonic())
                given.append(worker)
                try:
                    await self._give(worker, edition, left_s, hold)
                except ConfigError:  # it has changed nothing, and has nothing to give back
                    given.remove(worker)
                    raise
                except LinkClosed:
                    pass  # dead: its successor gets what wins
            if hold is not None:
                self._answer_s_under(hold)
        except (ConfigError, TimeoutError) as fault:
            await self._give_back(given, answer_s)
            reason = str(fault) or "a worker did not confirm in time"
            raise ConfigError([Problem("", None, "", reason)]) from fault
        self._served = edition
        if hold is not None and self._holding is not None:
            self._holding.extended(time.monotonic())

    def _answer_s_under(self, hold: str) -> float:
        """How long workers may take under it, so that all can be put back while it lasts."""
        holding, now = self._holding, time.monotonic()
        if holding is None or holding.name != hold or holding.left_s(now) <= 0:
            told = f"the hold '{hold}' is over: what it held has been sent on"
            raise ConfigError([Problem("", None, "", told)])
        return holding.left_s(now) / 4

    async def _give_back(self, workers: list[Worker], answer_s: float) -> None:
        """Serve by the old edition again; a worker that cannot even do that is replaced."""
        if self._served is None:
            return
        given = [self._give(worker, self._served, answer_s) for worker in workers]
        answers = await asyncio.gather(*given, return_exceptions=True)
        for worker, answer in zip(workers, answers, strict=True):
            if isinstance(answer, TimeoutError):
                task = asyncio.get_running_loop().create_task(_end_if_silent(worker))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
            elif isinstance(answer, BaseException):
                worker.end()

    async def hold(self, order: Message, answer_s: float) -> None:
        """Have all park the requests of some routes; HoldRefused, with nothing parked, when not.

        Takes no longer than `answer_s` and LET_GO_S. A worker that comes to it later is told to
        let go with its next breath.
        """
        until = time.monotonic() + order["seconds"]
        workers = list(self._workers.values())
        asked = [worker.order(answer_s, order="hold", **order) for worker in workers]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = (_why_not(*each) for each in zip(workers, answers, strict=True))
        if (why := next(filter(None, refused), None)) is not None:
            await self.release(order["name"], LET_GO_S)
            raise HoldRefused(why)
        self._holding = Holding(order, until)

    def is_holding(self) -> bool:
        """Whether a hold is in force."""
        return self._holding is not None and self._holding.left_s(time.monotonic()) > 0

    async def release(self, name: str, answer_s: float = ORDER_TIMEOUT_S) -> list[Message]:
        """Have all send on what a hold has; what each held, or why it did not last."""
        holding, workers = self._holding, list(self._workers.values())
        if holding is not None and holding.name == name:
            self._holding = None
        else:
            holding = None
        asked = [worker.order(answer_s, order="release", name=name) for worker in workers]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        silent: Message = {"broken": "a worker has died or is silent"}
        told = [silent if isinstance(each, BaseException) else each for each in answers]
        if holding is not None and holding.lost is not None:
            told.append({"broken": holding.lost})
        return told

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


async def _end_if_silent(worker: Worker) -> None:
    """Its orders wait for it, in their order: one that comes back carries them all out."""
    try:
        await worker.order(order="status")
    except TimeoutError:
        log.error("worker %d is silent, and is ended", worker.process.pid)  # noqa: TRY400 - no trace: the reason is told
        worker.end()
    except LinkClosed:
        pass


def _why_not(worker: Worker, answer: Message | BaseException) -> str | None:
    """Why a worker does not hold; one that has answered and died since held for nobody."""
    if isinstance(answer, LinkClosed) or worker.running.done():
        return "a worker has died"
    if isinstance(answer, BaseException):
        return "a worker is silent"
    return str(answer["refused"]) if "refused" in answer else None


def _lost(pid: int) -> str:
    return f"worker {pid} died under it: what it had parked was broken off, its successor held on"


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
