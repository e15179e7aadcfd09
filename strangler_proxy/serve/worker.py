"""A worker process: one event loop, one accepting socket, and orders from the supervisor.

It stops by itself when the supervisor is gone, after finishing what is in flight.
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import time

import uvloop

from strangler_proxy.config import Config
from strangler_proxy.serve.link import Link, Message
from strangler_proxy.wire.listener import Listener, server_context
from strangler_proxy.wire.plane import DataPlane


class Worker:
    """Serves by the configuration that the supervisor hands over."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._plane: DataPlane | None = None
        self._listener: Listener | None = None
        self._tls: ssl.SSLContext | None = None
        self._generation = 0

    async def handle(self, message: Message) -> Message:
        """Answer one order of the supervisor."""
        match message["order"]:
            case "serve":
                return await self._serve(message)
            case "status":
                return self._status()
            case "counts":
                return {"counts": self._counts()}
        return {"error": f"unknown order {message['order']}"}

    async def _serve(self, message: Message) -> Message:
        config = Config.model_validate(message["config"])
        try:
            if config.tls is not None and self._tls is not None:
                self._tls.load_cert_chain(config.tls.certificate, config.tls.key)
            if self._plane is None:
                await self._start(config)
            else:
                self._plane.install(config)
        except OSError as fault:  # certificates that cannot be read; ssl.SSLError is one too
            return {"error": f"TLS files cannot be used: {fault}"}
        self._generation = message["generation"]
        return self._status()

    async def _start(self, config: Config) -> None:
        if config.tls is not None:
            self._tls = server_context(config.tls.certificate, config.tls.key)
        self._plane = DataPlane(config, time.monotonic)
        self._listener = Listener(self._plane)
        await self._listener.start(self._socket, self._tls)
        gc.collect()
        gc.freeze()

    def _status(self) -> Message:
        connections = len(self._plane.connections) if self._plane else 0
        return {"pid": os.getpid(), "generation": self._generation, "connections": connections}

    def _counts(self) -> list[Message]:
        tallies = self._plane.tallies if self._plane else {}
        return [
            {"route": route, "upstream": upstream, **tally.as_json()}
            for (route, upstream), tally in tallies.items()
        ]

    async def drain(self) -> None:
        """Finish what is in flight."""
        if self._plane is not None and self._listener is not None:
            await self._listener.drain(self._plane.timeouts.drain_s)


async def _run(listen_fd: int, link_fd: int) -> None:
    worker = Worker(socket.socket(fileno=listen_fd))
    link = await Link.over(socket.socket(fileno=link_fd), worker.handle)
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
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--link-fd", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s [%(process)d] %(message)s"
    )
    uvloop.run(_run(arguments.listen_fd, arguments.link_fd))


if __name__ == "__main__":
    main()
