"""`strangler serve`: the supervisor with its admin addresses, signals and watch on the file."""

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Protocol

from strangler_proxy.admin.site import AdminSite
from strangler_proxy.config import Config, ConfigError
from strangler_proxy.running.socket_path import ProxyLock
from strangler_proxy.serve.sockets import raise_file_limit
from strangler_proxy.serve.supervisor import Supervisor

log = logging.getLogger(__name__)
WATCH_S = 0.5
TOKEN_VARIABLE = "STRANGLER_ADMIN_TOKEN"  # noqa: S105 - the variable's name, not a token


class Follower(Protocol):
    """Who serves by a file."""

    async def follow_file(self) -> int:
        """Read it again, and serve by it."""


async def serve(path: Path, config: Config, workers: int) -> None:
    """Run until SIGTERM or SIGINT, then drain.

    Raises AddressInUse, ConfigError, or AlreadyRunning when a proxy serves this file already.
    """
    raise_file_limit()
    with ProxyLock(path) as lock:
        supervisor = Supervisor(path, config, workers)
        site = AdminSite(supervisor)
        try:
            await supervisor.start()
            await site.on_socket(lock.socket)
            await _open_admin_address(site, config)
            log.info("serving %s on %s, workers: %d", path, supervisor.listening_on, workers)
            await _until_told_to_stop(supervisor, path, lock)
        finally:
            log.info("stopping: requests in flight are finished first; once more stops at once")
            await _stop(supervisor)
            await site.close()


async def _open_admin_address(site: AdminSite, config: Config) -> None:
    if config.admin is None:
        return
    token = os.environ.get(TOKEN_VARIABLE)
    if token:
        await site.on_address(config.admin, token)
    else:
        log.warning("the admin address %s stays closed: set %s", config.admin, TOKEN_VARIABLE)


async def _until_told_to_stop(supervisor: Supervisor, path: Path, lock: ProxyLock) -> None:
    loop = asyncio.get_running_loop()
    stop = supervisor.stop_wanted
    changed = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, changed.set)
    changed.set()  # the file may have changed while the workers started
    watching = loop.create_task(_watch(path, changed, lock))
    reloading = loop.create_task(reload_when(changed, supervisor))
    try:
        await stop.wait()
    finally:
        for task in (watching, reloading):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _watch(path: Path, changed: asyncio.Event, lock: ProxyLock) -> None:
    """Notice a changed file by looking: that works on network and container mounts too.

    A change counts once the file has stayed as it is from one look to the next: an editor has then
    written all of it, and a flip has had it read again by itself.
    """
    served = seen = _version(path)
    while True:
        await asyncio.sleep(WATCH_S)
        now = _version(path)
        if now == seen != served:
            served = now
            lock.follow()
            changed.set()
        seen = now


def _version(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size


async def reload_when(changed: asyncio.Event, supervisor: Follower) -> None:
    """Take the file over at each change, for ever: what goes wrong with one is told."""
    while True:
        await changed.wait()
        changed.clear()
        try:
            await supervisor.follow_file()
        except ConfigError as refused:
            log.error("the changed file is refused, the old one stays:\n%s", refused)  # noqa: TRY400 - the problems are the message
        except (OSError, TimeoutError) as fault:
            log.error("the changed file could not be taken over: %s", fault)  # noqa: TRY400 - told
        except Exception:  # whatever it is, the next change is followed
            log.exception("the changed file could not be taken over")


async def _stop(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.kill)
    await supervisor.stop()
