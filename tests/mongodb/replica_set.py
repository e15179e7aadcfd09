"""A MongoDB that changes can be followed of, so that a move can be handed over to it and back.

That of TEST_MONGODB_URL; or SecantusDB, where it is installed (`pip install secantusdb==0.7.0b3`):
it speaks the protocol over WiredTiger, with validators and a stream of changes, and is no MongoDB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pymongo import MongoClient

from scripts.processes import free_ports
from tests.mongodb.wire import answers
from tests.services import missing
from tests.wire_tools.proxy import until

REAL = "TEST_MONGODB_URL"
STOP_S = 10.0


@contextmanager
def replica_set(folder: Path) -> Iterator[str]:
    """A server's URL, or the test ends here; a server that was started ends with the block."""
    if server := os.environ.get(REAL):
        yield server
        return
    own = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    program = shutil.which("secantusd-py", path=own)
    if program is None:
        missing(f"no MongoDB: {REAL} names none, and SecantusDB is not installed")
    (port,) = free_ports(1)
    kept = folder / "replica-set"
    command = [program, "--host", "127.0.0.1", "--port", str(port), "--storage-path", str(kept)]
    with (folder / "replica-set.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            until(lambda: answers(port), "the server answers", 30.0)
            yield f"mongodb://127.0.0.1:{port}/"
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def scratch_documents(server: str) -> Iterator[str]:
    """The URL of a new, empty database at this server, dropped at the end."""
    name = f"strangler_{uuid.uuid4().hex[:12]}"
    with MongoClient(server) as client:
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            client.drop_database(name)
