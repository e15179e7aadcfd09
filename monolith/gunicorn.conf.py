"""How gunicorn serves the monolith: threads, because its requests wait for the database and S3."""

import os
from typing import Any

bind = os.environ.get("BIND", "127.0.0.1:5000")
worker_class = "gthread"
workers = int(os.environ.get("WORKERS", "2"))
threads = int(os.environ.get("THREADS", "8"))
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
