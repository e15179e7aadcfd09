"""Where the proxy of one configuration file is found by its user's other processes.

The folder belongs to the user alone, the name follows from the file's path: whoever knows the
file finds the proxy, and two proxies of one file exclude each other.
"""

import fcntl
import hashlib
import os
import stat
from pathlib import Path
from types import TracebackType


class AlreadyRunning(Exception):
    """Another proxy serves this file."""


def control_socket(config: Path) -> Path:
    """The Unix socket of the proxy that serves this file, whether it runs or not."""
    name = hashlib.sha256(str(config.resolve()).encode()).hexdigest()[:20]
    return _folder() / f"{name}.sock"


def _folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base) / "strangler" if base else Path(f"/tmp/strangler-{os.getuid()}")  # noqa: S108 - checked below to be ours alone
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(f"{folder} must belong to you alone (mode 700): move it away")
    return folder


class ProxyLock:
    """Held while a proxy serves a file; freed by the kernel whatever ends the process."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._path = control_socket(config).with_suffix(".lock")
        self._handle = -1

    def __enter__(self) -> "ProxyLock":
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise AlreadyRunning(f"a proxy serves {self._config} already") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._handle)
