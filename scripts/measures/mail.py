"""What a mail server that hangs does to people who write posts: mail within the request, and mail
by an outbox and a worker.

The mail server takes connections and says nothing, then is replaced by one that works. The same
posts are written meanwhile, by four clients at once, to the monolith and to the posts service.
"""

import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import requests

from extracted.chassis.events import open_broker
from extracted.chassis.schema import upgrade
from extracted.email_worker.worker import SUBSCRIPTION
from scripts import stack
from scripts.measures.command import Place, Result, run
from scripts.measures.figures import percentile
from scripts.measures.programs import service
from scripts.processes import Program, free_ports

POSTS, CLIENTS = 12, 4
MONOLITH_WAITS_S = 3.0  # the monolith's own default of SMTP_TIMEOUT_S
COLUMNS = ("mail is sent", "posts", "p50 ms", "max ms", "mails arrived", "mails lost", "after s")
ANN = {"email": "ann@example.org", "password": "correct horse", "name": "Ann"}
ARRIVE_WITHIN_S = 15.0
NOTHING_MORE_S = 1.0


def measure(place: Place, posts: int = POSTS) -> Result:
    """Write posts to both while the mail server hangs, and count the mails after it is back."""
    inline = _inline(place, posts)
    queued = _queued(place, posts)
    rows = (row("within the request", *inline), row("by outbox and worker", *queued))
    return Result("Posts while the mail server hangs", COLUMNS, rows)


def row(
    way: str, seconds: list[float], arrived: int, after_s: float | None
) -> tuple[str | float | None, ...]:
    """The times of the posts, and what became of their mails."""
    times_ms = [1000 * one for one in seconds]
    return (
        *(way, len(times_ms), round(percentile(times_ms, 50), 1), round(max(times_ms), 1)),
        *(arrived, len(times_ms) - arrived, None if after_s is None else round(after_s, 1)),
    )


def _inline(place: Place, posts: int) -> tuple[list[float], int, float | None]:
    """Times of posts to the monolith, mails that arrived, and how long the last one took."""
    ports, folder = stack.Ports.free(), place.folder / "monolith"
    folder.mkdir()
    environ = {**stack.environment(folder, ports, stack.new_secrets()), "BCRYPT_ROUNDS": "4"}
    environ["SMTP_TIMEOUT_S"] = f"{MONOLITH_WAITS_S:g}"
    stack.migrate(place.fleet, environ)
    place.fleet.start(stack.monolith(ports, environ))
    url = f"http://127.0.0.1:{ports.monolith}"
    requests.post(f"{url}/register", json=ANN, timeout=10).raise_for_status()
    token = requests.post(f"{url}/login", json=ANN, timeout=10).json()["token"]
    with _hanging(ports.mail_sink):
        seconds = _written(url, token, posts)
    arrived, after_s = _arrived(place, folder, ports.mail_sink, posts, NOTHING_MORE_S)
    place.folder.joinpath("token").write_text(f"{environ['JWT_SECRET']} {token}", "ascii")
    return seconds, arrived, after_s


def _queued(place: Place, posts: int) -> tuple[list[float], int, float | None]:
    """The same of the posts service and the email worker."""
    secret, token = place.folder.joinpath("token").read_text("ascii").split()
    ports, folder = stack.Ports.free(), place.folder / "services"
    folder.mkdir()
    environ = {**stack.environment(folder, ports, stack.new_secrets()), "JWT_SECRET": secret}
    environ["DATABASE_URL"] = environ["POSTS_DATABASE_URL"]
    environ["JWKS_URL"] = ""  # the monolith's token is good here by the shared secret
    upgrade(environ["DATABASE_URL"], "posts")
    with closing(open_broker(environ["BROKER_URL"]).consumer(SUBSCRIPTION)) as consumer:
        consumer.receive(0.1)  # the worker's queue is there before the first event
    place.fleet.start(service("posts", "extracted.posts.app", ports.posts, environ))
    with _hanging(ports.mail_sink) as connected:
        place.fleet.launch(_worker({**environ, "SMTP_TIMEOUT_S": "2", "DATABASE_URL": ""}))
        seconds = _written(f"http://127.0.0.1:{ports.posts}", token, posts)
        connected.wait(ARRIVE_WITHIN_S)  # the worker has met the hanging server
    return seconds, *_arrived(place, folder, ports.mail_sink, posts, ARRIVE_WITHIN_S)


def _worker(environ: Mapping[str, str]) -> Program:
    command = (sys.executable, "-m", "extracted.email_worker")
    (unused,) = free_ports(1)
    return Program("email_worker", command, dict(environ), unused)


def _written(url: str, token: str, posts: int) -> list[float]:
    """Write so many posts; the seconds that each took to be acknowledged."""
    headers = {"Authorization": f"Bearer {token}"}

    def write(number: int) -> float:
        post = {"title": f"No. {number}", "body": secrets.token_hex(8)}
        began = time.monotonic()
        requests.post(f"{url}/posts", json=post, headers=headers, timeout=30).raise_for_status()
        return time.monotonic() - began

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(write, range(posts)))


@contextmanager
def _hanging(port: int) -> Iterator[threading.Event]:
    """A mail server that says nothing; the event tells that somebody has connected."""
    connected, kept = threading.Event(), []

    def accept(listener: socket.socket) -> None:
        try:
            while True:
                kept.append(listener.accept()[0])
                connected.set()
        except OSError:
            return  # closed: the outage is over

    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        thread = threading.Thread(target=accept, args=(listener,))
        thread.start()
        try:
            yield connected
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


def _arrived(
    place: Place, folder: Path, port: int, posts: int, within_s: float
) -> tuple[int, float | None]:
    """Start a mail server that works; how many mails it gets, and when the last one came."""
    sink = (sys.executable, "-m", "scripts.embedded.mail_sink")
    command = (*sink, "--port", str(port), "--dir", str(folder / "mail"))
    place.fleet.start(Program("mail_sink", command, {}, port))
    began = time.monotonic()
    count = _count(folder / "mail")
    waited = _until(lambda: count() >= posts, within_s)
    return count(), time.monotonic() - began if waited else None


def _count(mail: Path) -> Callable[[], int]:
    return lambda: len(list(mail.glob("*.eml")))


def _until(condition: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    sys.exit(run(measure, __doc__))
