"""How gunicorn serves a service: threads, kept connections, and an orderly end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def gunicorn_settings(environ: Mapping[str, str], default_bind: str) -> dict[str, Any]:
    """Gunicorn's settings, from BIND, WORKERS and THREADS where they are set. Times in seconds."""
    return {
        "bind": environ.get("BIND", default_bind),
        "worker_class": "gthread",
        "workers": int(environ.get("WORKERS", "2")),
        "threads": int(environ.get("THREADS", "4")),
        # Longer than a proxy in front keeps a connection idle: it must be the proxy that closes it.
        "keepalive": 75,
        # A worker that gives no sign of life for this long is replaced.
        "timeout": 60,
        # Requests in flight when the worker is told to stop may take this long to end.
        "graceful_timeout": 30,
        "control_socket_disable": True,
    }
