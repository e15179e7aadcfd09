"""Databases of a torture's own: made in a temporary folder, killed and started again at will.

Loopback only, on ports that were free. A server of the machine is never touched.
"""

import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from scripts.processes import free_ports, last_lines
from scripts.torturing.tables import connect

START_S = 60.0


class MissingProgram(Exception):
    """A program of the database is not installed; the message says which."""


class Server(Protocol):
    """One side's database."""

    url: str

    def kill(self) -> None:
        """SIGKILL to all of it."""

    def kill_session(self, rng: random.Random) -> None:
        """SIGKILL to what carries one session, where that is a process; else to all of it.

        A file has none.
        """

    def start(self) -> None:
        """Start, and return when it answers."""

    def end(self) -> None:
        """Leave nothing behind."""


class SqliteFile:
    """A file: it dies with the processes that have it open, which are killed beside it."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"

    def kill(self) -> None:
        """See Server."""

    def kill_session(self, rng: random.Random) -> None:
        """See Server."""

    def start(self) -> None:
        """See Server."""

    def end(self) -> None:
        """See Server."""


class _Process:
    """A server that is a process, run by a user that is not root."""

    def __init__(self, user: str) -> None:
        # Its folder is short and open, since sockets' paths are and the server's user comes there.
        self.folder = Path(tempfile.mkdtemp(prefix="strangler-torture-"))
        self.port = free_ports(1)[0]
        self.user = user if os.geteuid() == 0 else None
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._command: Sequence[str] = ()
        self.url = ""

    def _run(self, *command: str) -> None:
        ended = subprocess.run(command, user=self.user, capture_output=True, text=True, timeout=120)
        if ended.returncode:
            raise MissingProgram(f"{command[0]} failed: {ended.stderr.strip()[-400:]}")

    def start(self) -> None:
        """See Server."""
        deadline = time.monotonic() + START_S
        while True:
            if self._process is None or self._process.poll() is not None:
                with self.log.open("ab") as log:
                    self._process = subprocess.Popen(
                        self._command,
                        user=self.user,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
            with suppress(Exception):  # whatever a server says that comes up
                connect(self.url).close()
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._command[0]} did not start: {last_lines(self.log)}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Stopped first, so that it starts no more children; then all of them."""
        if self._process is None or self._process.poll() is not None:
            return
        os.kill(self._process.pid, signal.SIGSTOP)
        children = _children(self._process.pid)
        self._process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()

    def kill_session(self, rng: random.Random) -> None:
        """See Server."""
        children = _children(self._process.pid) if self._process else []
        if not children:
            self.kill()
            return
        with suppress(ProcessLookupError):
            os.kill(rng.choice(children), signal.SIGKILL)

    def end(self) -> None:
        """See Server."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresqlServer(_Process):
    """A cluster of PostgreSQL, with the settings that it comes with."""

    def __init__(self) -> None:
        initdb, postgres = _program("initdb"), _program("postgres")
        super().__init__("postgres")
        data = str(self.folder / "data")
        self._run(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._command = (
            *(postgres, "-D", data, "-p", str(self.port), "-k", str(self.folder)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60"),
        )
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"


class MysqlServer(_Process):
    """An instance of MariaDB that has committed what it says is committed."""

    def __init__(self) -> None:
        install, mariadbd = _program("mariadb-install-db"), _program("mariadbd")
        super().__init__("mysql")
        data, first = self.folder / "data", self.folder / "first.sql"
        user = [f"--user={self.user}"] if self.user else []
        self._run(
            *(install, "--no-defaults", f"--datadir={data}", "--skip-test-db"),
            *("--auth-root-authentication-method=normal", *user),
        )
        first.write_text(
            "CREATE DATABASE IF NOT EXISTS torture;\n"
            "CREATE USER IF NOT EXISTS root@'127.0.0.1';\n"
            "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        first.chmod(0o644)
        self._command = (
            *(mariadbd, "--no-defaults", f"--datadir={data}", f"--port={self.port}"),
            *(f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}"),
            *("--bind-address=127.0.0.1", "--skip-name-resolve", f"--init-file={first}"),
            *("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=64M"),
        )
        self.url = f"mysql://root@127.0.0.1:{self.port}/torture"


def make_server(kind: str, folder: Path, name: str) -> Server:
    """sqlite, postgresql or mysql; MissingProgram when it is not installed."""
    made: dict[str, Callable[[], Server]] = {
        "sqlite": lambda: SqliteFile(folder / f"{name}.db"),
        "postgresql": PostgresqlServer,
        "mysql": MysqlServer,
    }
    return made[kind]()


def _program(name: str) -> str:
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/sbin")]
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, places)])
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingProgram(f"{name} is not installed: it makes a server of the torture's own")
    return found


def _children(pid: int) -> list[int]:
    """Processes whose parent this is."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # After the command, which stands in brackets: state, then the parent (proc(5)).
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return sorted(found)
