"""A worker process: one event loop, one accepting socket, and orders from the supervisor.

It stops by itself when the supervisor is gone, after finishing what is in flight.
"""

import argparse
import asyncio
import gc
import os
import signal
import socket
import ssl
import time
from typing import Any

import uvloop

from strangler_proxy.config import Config, ConfigError
from strangler_proxy.config.address import Address
from strangler_proxy.policies.board import Board
from strangler_proxy.serve.edition import Pem
from strangler_proxy.serve.holding import RELEASE_S
from strangler_proxy.serve.link import Link, LinkClosed, Message
from strangler_proxy.serve.logs import log_aside
from strangler_proxy.wire.endpoint import Member
from strangler_proxy.wire.hold import Bounds, Hold
from strangler_proxy.wire.listener import Listener, server_context
from strangler_proxy.wire.outside import Outside
from strangler_proxy.wire.plane import DataPlane, HoldRefused

ASK_TIMEOUT_S = 5.0
ASK_EVERY_S = 1.0


class Worker:
    """Serves by the configuration that the supervisor hands over."""

    def __init__(self, sock: socket.socket, outside: Outside) -> None:
        self.link: Link | None = None
        self._socket = sock
        self._outside = outside
        self._outside.refresh_keys = self._refresh_keys
        self._plane: DataPlane | None = None
        self._listener: Listener | None = None
        self._tls: ssl.SSLContext | None = None
        self._generation = 0
        self._asked: dict[str, tuple[asyncio.Task[None], float]] = {}
        """For each issuer the last question about its keys, and when it was asked."""

    async def handle(self, message: Message) -> Message:
        """Answer one order of the supervisor."""
        match message["order"]:
            case "serve":
                return await self._serve(message)
            case "news":
                return self._take(message)
            case "hold":
                return await self._hold(message)
            case "release":
                return self._release(message)
            case "status":
                return self._status()
            case "figures":
                return self._figures()
        return {"error": f"unknown order {message['order']}"}

    async def _serve(self, message: Message) -> Message:
        config = Config.model_validate(message["config"])
        if (fault := self._lost_hold(message.get("hold"))) is not None:
            return {"error": fault}
        members, rows = _members(message["members"]), message["rows"]
        pem = Pem(*message["pem"]) if message["pem"] is not None else None
        try:
            if self._plane is None:
                self._plane = DataPlane(config, time.monotonic, self._outside, members, rows)
                if (held := message.get("held")) is not None:
                    # What its predecessor was promised to hold is held before the first request.
                    begin = self._plane.begin_hold
                    begin(held["name"], held["routes"], _bounds(held), promised=True)
                await self._listen(self._plane, pem)
            else:
                self._plane.install(config, members, rows)
                if pem is not None and self._tls is not None:  # only now: nothing refuses any more
                    pem.load_into(self._tls)
        except ConfigError as refused:
            return {"error": "; ".join(f"{p.where}: {p.message}" for p in refused.problems)}
        except OSError as fault:  # certificates that cannot be read; ssl.SSLError is one too
            return {"error": f"TLS files cannot be used: {fault}"}
        self._generation = message["generation"]
        self._take({"members": {}, "keys": message["keys"]})
        return self._status()

    async def _listen(self, plane: DataPlane, pem: Pem | None) -> None:
        if pem is not None:
            with pem.as_files() as files:
                self._tls = server_context(*files)
        self._listener = Listener(plane)
        await self._listener.start(self._socket, self._tls)
        gc.collect()
        gc.freeze()

    async def _hold(self, message: Message) -> Message:
        """Park the requests of some routes, and wait until those before are answered; or do not."""
        plane = self._plane
        if plane is None:
            return {"refused": "the worker does not serve yet"}
        try:
            hold = plane.begin_hold(message["name"], message["routes"], _bounds(message))
        except HoldRefused as refused:
            return {"refused": str(refused)}
        if await hold.drained(message["drain_s"]):
            return {}
        if hold.broken is None:
            hold.release()
        waited = f"requests sent before were not answered within {message['drain_s']:g} s"
        return {"refused": hold.broken or waited}

    def _release(self, message: Message) -> Message:
        """Send on what a hold has; what was held, or why it did not last."""
        hold = self._held(message["name"])
        return {"broken": "it is over"} if hold is None else hold.release()

    def _lost_hold(self, name: str | None) -> str | None:
        """Why a configuration that is to be served under a hold must not be."""
        if name is None:
            return None
        hold = self._held(name)
        if hold is None:
            return f"the hold '{name}' is over: what it held has been sent on"
        hold.extend(RELEASE_S)
        return None

    def _held(self, name: str) -> Hold | None:
        hold = self._plane.hold if self._plane is not None else None
        return hold if hold is not None and hold.name == name else None

    def _take(self, news: Message) -> Message:
        """Take new addresses and keys."""
        if self._plane is not None:
            for name, members in _members(news["members"]).items():
                self._plane.place(name, members)
            for url, jwks in news["keys"].items():
                self._plane.set_keys(url, jwks)
        return {}

    async def _refresh_keys(self, url: str) -> None:
        """Have the supervisor ask an issuer for its keys, and install them.

        Whoever comes meanwhile waits for the same answer, and an answer serves for a moment:
        tokens with made-up keys must not become questions.
        """
        asked = self._asked.get(url)
        if asked is None or (asked[0].done() and time.monotonic() - asked[1] > ASK_EVERY_S):
            task = asyncio.get_running_loop().create_task(self._ask_for_keys(url))
            asked = self._asked[url] = (task, time.monotonic())
        await asyncio.shield(asked[0])

    async def _ask_for_keys(self, url: str) -> None:
        if self.link is None:
            return
        try:
            answer = await self.link.call({"ask": "keys", "url": url}, ASK_TIMEOUT_S)
        except (LinkClosed, TimeoutError):
            return  # what there is must do
        if self._plane is not None and answer.get("jwks"):
            self._plane.set_keys(url, answer["jwks"])

    def _status(self) -> Message:
        connections = len(self._plane.connections) if self._plane else 0
        return {"pid": os.getpid(), "generation": self._generation, "connections": connections}

    def _figures(self) -> Message:
        plane = self._plane
        if plane is None:
            return {}
        return {
            "worker": self._status(),
            "sides": [
                {"route": route, "upstream": upstream, **tally.as_json()}
                for (route, upstream), tally in plane.tallies.items()
            ],
            "events": [[*key, count] for key, count in plane.happened()],
            "pools": {name: pool.figures() for name, pool in plane.pools.items()},
        }

    async def drain(self) -> None:
        """Finish what is in flight."""
        if self._plane is not None and self._listener is not None:
            await self._listener.drain(self._plane.timeouts.drain_s)
            await self._plane.close()


def _bounds(order: Message) -> Bounds:
    return Bounds(order["seconds"], order["most_requests"], order["most_bytes"])


def _members(told: dict[str, list[list[Any]]]) -> dict[str, list[Member]]:
    return {
        name: [Member(Address(host, port), well, draining) for host, port, well, draining in rows]
        for name, rows in told.items()
    }


async def _run(arguments: argparse.Namespace) -> None:
    outside = Outside(board=Board(arguments.board_fd), limits_fd=arguments.limits_fd)
    worker = Worker(socket.socket(fileno=arguments.listen_fd), outside)
    link = await Link.over(socket.socket(fileno=arguments.link_fd), worker.handle)
    worker.link = link
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Ctrl-C reaches the whole process group; the supervisor says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    running = loop.create_task(link.run())
    stopping = loop.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await worker.drain()
    running.cancel()
    stopping.cancel()


def main() -> None:
    """Start from the file descriptors that the supervisor passes."""
    parser = argparse.ArgumentParser(
        description="A worker of strangler serve; not started by hand."
    )
    for name in ("--listen-fd", "--link-fd", "--board-fd", "--limits-fd"):
        parser.add_argument(name, type=int, required=True)
    arguments = parser.parse_args()
    log_aside()
    uvloop.run(_run(arguments))


if __name__ == "__main__":
    main()
