"""What speaks MongoDB's wire protocol, in a process of its own, and is no MongoDB (nx-27017).

Seen of 0.8.1, and why what it does is no evidence about MongoDB: it says `ok` to commands that it
does not know, collMod among them, and ignores validators; transactions are not isolated; it is no
replica set; has no Decimal128; loses `_id`s that are documents, binary or booleans, and binary data
in updates; gives dates and booleans back as strings and numbers once they were updated; and misses
elements of arrays that are asked for by $in, or by $eq once there is an index.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.processes import free_ports
from tests.wire_tools.proxy import until


@contextmanager
def wire_server(folder: Path) -> Iterator[str]:
    """A server that ends with the block; gives a URL of a new database."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "nx_27017.nx_27017", "--db", "memory", "-p", str(port)]
    command += ["--pid-file", str(folder / "wire.pid")]  # or one at a time starts on a machine
    with (folder / "wire.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            until(lambda: answers(port), "the server answers", 30.0)
            yield f"mongodb://127.0.0.1:{port}/moved"
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait()


def answers(port: int) -> bool:
    """Whether somebody listens on this port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
