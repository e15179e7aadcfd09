"""How gunicorn serves the monolith: threads, because its requests wait for the database and S3."""

import os
import sys
from typing import Any

# It opens nothing. All code is the master's: new code comes by SIGUSR2, never in part by SIGHUP.
import monolith.app  # noqa: F401
from monolith.serving import Serving
from monolith.settings import SettingsError

try:
    serving = Serving.from_environ(os.environ)
except SettingsError as error:
    print(error, file=sys.stderr)  # noqa: T201 (there is no log yet)
    raise SystemExit(2) from None

bind, workers, threads = serving.bind, serving.workers, serving.threads
worker_class = "gthread"
# Longer than a proxy in front keeps a connection idle: it must be the proxy that closes it.
keepalive = 75
# A worker that gives no sign of life for this long is replaced.
timeout = 60
# Requests in flight when the worker is told to stop may take this long to end.
graceful_timeout = 30
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Begin what runs beside the requests; after the fork, as threads do not survive it."""
    worker.wsgi.extensions["start"]()
