"""Where the proxy of one configuration file is found by its user's other processes.

The name follows from the file's path as it was given, links in it not followed: a link may lead
elsewhere tomorrow, and the proxy with it (Kubernetes replaces a mounted file so, and a deployment
its `current`). By the path that the links lead to now it is found too. The folder belongs to the
user alone: that of the login if there is one, else one in /tmp; who looks for a proxy looks in all.
"""

import fcntl
import hashlib
import logging
import os
import stat
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

log = logging.getLogger(__name__)


class AlreadyRunning(Exception):
    """Another proxy serves this file."""


def control_sockets(config: Path) -> list[Path]:
    """Where a proxy that serves this file may listen, the likeliest first."""
    names = dict.fromkeys((_given(config), config.resolve()))
    folders = [folder for folder in _where_it_may_be() if _is_ours(folder)]
    return [folder / _named(path, "sock") for path in names for folder in folders]


def _given(config: Path) -> Path:
    path = config.absolute()
    # What is above a link is above what it leads to.
    return path.parent.resolve() / path.name if ".." in path.parts else path


def _named(path: Path, kind: str) -> str:
    return f"{hashlib.sha256(str(path).encode()).hexdigest()[:20]}.{kind}"


def _where_it_may_be() -> list[Path]:
    """A service has no login, and a command may be one of a job without: neither sets XDG's."""
    bases = (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}")
    logins = [Path(base) / "strangler" for base in bases if base]
    return [*dict.fromkeys(logins), _shared()]


def _shared() -> Path:
    return Path(f"/tmp/strangler-{os.getuid()}")  # noqa: S108 - checked to be ours alone


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    alone = status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
    return alone and stat.S_ISDIR(status.st_mode)


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(folder):
        raise PermissionError(f"{folder} must belong to you alone (mode 700): move it away")
    return folder


class ProxyLock:
    """Held while a proxy serves a file; freed by the kernel whatever ends the process.

    `socket` is where it is to listen.
    """

    def __init__(self, config: Path) -> None:
        self._config = config
        self._path, self._leads_to = _given(config), _given(config)
        self._held, self._alias = ExitStack(), ExitStack()

    def __enter__(self) -> "ProxyLock":
        base = os.environ.get("XDG_RUNTIME_DIR")
        self._home = _made(Path(base) / "strangler" if base else _shared())
        self.socket = self._home / _named(self._path, "sock")
        try:
            self._lock(self._path, self._held)
            self._follow()
        except BaseException:
            self._close()
            raise
        return self

    def follow(self) -> None:
        """Be found by the path that the links lead to now, unless another proxy serves that."""
        try:
            self._follow()
        except (AlreadyRunning, OSError) as fault:
            log.warning("found by the path %s alone: %s", self._config, fault)

    def _follow(self) -> None:
        leads_to = self._config.resolve()
        if leads_to == self._leads_to:
            return
        self._leads_to = leads_to
        self._alias.close()
        if leads_to == self._path:
            return
        self._lock(leads_to, self._alias)
        alias = self._home / _named(leads_to, "sock")
        alias.unlink(missing_ok=True)
        alias.symlink_to(self.socket.name)
        self._alias.callback(alias.unlink, missing_ok=True)

    def _lock(self, path: Path, held: ExitStack) -> None:
        """In /tmp as well, where a proxy without a login would take it."""
        self._lock_in(self._home, path, held)
        if self._home != _shared():
            with suppress(OSError):  # not there, or somebody else's: who has no login sees it
                self._lock_in(_made(_shared()), path, held)

    def _lock_in(self, folder: Path, path: Path, held: ExitStack) -> None:
        handle = os.open(
            folder / _named(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        held.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"a proxy serves {self._config} already") from None

    def _close(self) -> None:
        self._alias.close()
        self._held.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
