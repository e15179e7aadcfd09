"""How long a name that posts has copied is stale after a rename: auth's outbox, the broker, the
consumer, and a read of the post.

From the answer to `PATCH /users/<id>` until `GET /posts/<id>` shows the new name, over the queue in
a file, and over RabbitMQ where one answers at TEST_AMQP_URL (amqp://guest:guest@127.0.0.1:5672/).
"""

import os
import secrets
import socket
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pika
import requests

from extracted.auth.keyfolder import make
from extracted.chassis.clock import utc_now
from extracted.chassis.events import open_broker
from extracted.chassis.events.port import DELAYS_S
from extracted.chassis.schema import upgrade
from extracted.posts.consumer import SUBSCRIPTION
from scripts import stack
from scripts.measures.command import Cell, Place, Result, run
from scripts.measures.figures import percentile
from scripts.measures.programs import service
from scripts.processes import ComponentFailedError, Program, free_ports

RENAMES = 20
PATIENCE_S = 10.0
COLUMNS = ("broker", "renames", "p50 ms", "p95 ms", "max ms")
ANN = {"email": "ann@example.org", "password": "correct horse", "name": "Ann"}


def measure(place: Place, renames: int = RENAMES) -> Result:
    """Rename so many times over each broker that there is."""
    rows = [row("queue in a file", _stale(place, "file", None, renames))]
    server = os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
    if _listens(server):
        namespace = f"measure-{secrets.token_hex(6)}"
        try:
            url = f"{server}?namespace={namespace}"
            rows.append(row("RabbitMQ", _stale(place, "rabbitmq", url, renames)))
        finally:
            place.fleet.stop()
            _remove(server, namespace)
    return Result("How long a copied name is stale", COLUMNS, tuple(rows))


def row(broker: str, seconds: list[float]) -> tuple[Cell, ...]:
    """The times of one broker."""
    times_ms = [1000 * one for one in seconds]
    percents = (round(percentile(times_ms, percent), 1) for percent in (50, 95, 100))
    return (broker, len(times_ms), *percents)


def _stale(place: Place, name: str, broker_url: str | None, renames: int) -> list[float]:
    folder, ports = place.folder / name, stack.Ports.free()
    folder.mkdir()
    environ = _environment(folder, ports, broker_url)
    make(folder / "keys", utc_now())
    for one in ("auth", "posts"):
        upgrade(environ[f"{one.upper()}_DATABASE_URL"], one)
        mine = {**environ, "DATABASE_URL": environ[f"{one.upper()}_DATABASE_URL"]}
        port = ports.auth if one == "auth" else ports.posts
        place.fleet.start(service(f"{one}-{name}", f"extracted.{one}.app", port, mine))
    with closing(open_broker(environ["BROKER_URL"]).consumer(SUBSCRIPTION)) as queue:
        queue.receive(0.1)  # it is there before the first event, which would else wait 15 s
    place.fleet.launch(_consumer(f"consumer-{name}", environ))
    auth, posts = f"http://127.0.0.1:{ports.auth}", f"http://127.0.0.1:{ports.posts}"
    user = requests.post(f"{auth}/register", json=ANN, timeout=10).json()["id"]
    token = requests.post(f"{auth}/login", json=ANN, timeout=10).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    body = {"title": "T", "body": "B"}
    post = requests.post(f"{posts}/posts", json=body, headers=headers, timeout=10).json()["id"]
    account, page = f"{auth}/users/{user}", f"{posts}/posts/{post}"
    _renamed(account, page, headers, "First", 60.0)  # all parts are up when this has come
    return [_renamed(account, page, headers, f"Ann {turn}") for turn in range(renames)]


def _environment(folder: Path, ports: stack.Ports, broker_url: str | None) -> dict[str, str]:
    environ = {**stack.environment(folder, ports, stack.new_secrets()), "BCRYPT_ROUNDS": "4"}
    return environ if broker_url is None else {**environ, "BROKER_URL": broker_url}


def _consumer(name: str, environ: dict[str, str]) -> Program:
    command = (sys.executable, "-m", "extracted.posts.consumer")
    mine = {**environ, "DATABASE_URL": environ["POSTS_DATABASE_URL"]}
    return Program(name, command, mine, free_ports(1)[0])


def _renamed(
    account: str, page: str, headers: dict[str, str], name: str, within_s: float = PATIENCE_S
) -> float:
    """Rename, and read until the new name shows; the seconds between."""
    with requests.Session() as reader:
        answer = requests.patch(account, json={"name": name}, headers=headers, timeout=10)
        answer.raise_for_status()
        began = time.monotonic()
        while reader.get(page, timeout=10).json()["author"]["name"] != name:
            if time.monotonic() - began > within_s:
                raise ComponentFailedError(f"the name {name!r} did not arrive in {within_s:g} s")
            time.sleep(0.002)
        return time.monotonic() - began


def _listens(server: str) -> bool:
    parts = urlsplit(server)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 5672), timeout=1).close()
    except OSError:
        return False
    return True


def _remove(server: str, namespace: str) -> None:
    """Leave nothing of this run in the broker."""
    connection = pika.BlockingConnection(pika.URLParameters(server))
    channel = connection.channel()
    for end in ("", ".dead", *(f".retry.{round(delay_s * 1000)}" for delay_s in DELAYS_S)):
        channel.queue_delete(f"{namespace}.posts{end}")
    channel.exchange_delete(f"{namespace}.events")
    connection.close()


if __name__ == "__main__":
    sys.exit(run(measure, __doc__))
