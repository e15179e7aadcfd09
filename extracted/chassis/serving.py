"""How gunicorn serves a service: threads, kept connections, a place in Consul, an orderly end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from extracted.chassis.registration import Registration
from extracted.chassis.settings import Environment, SettingsError, whole

MOST = 1000


def served(environ: Mapping[str, str], service: str, default_bind: str) -> dict[str, Any]:
    """`gunicorn_settings` for extracted/<service>, if the service's own settings are right too, and
    its application's `check` of them, where it has one, raises no ValueError.

    Otherwise the process ends with status 2, having told every fault: in gunicorn's master, before
    there is a worker. For this the master imports the application, which opens nothing; so new code
    comes by SIGUSR2 or a new start, and never in part by SIGHUP.
    """
    app = import_module(f"extracted.{service}.app")
    own = import_module(f"extracted.{service}.settings").Settings
    problems = _problems(lambda: gunicorn_settings(environ, service, default_bind))
    check = getattr(app, "check", lambda _settings: None)
    problems += _problems(lambda: check(own.from_environ(environ)))
    if problems:
        problems = list(dict.fromkeys(problems))  # a service may want to know its threads, too
        print(SettingsError(service, problems), file=sys.stderr)  # noqa: T201 (there is no log yet)
        raise SystemExit(2)
    return gunicorn_settings(environ, service, default_bind)


def _problems(read: Callable[[], object]) -> list[str]:
    try:
        read()
    except SettingsError as error:
        return error.problems
    except ValueError as error:
        return [str(error)]
    return []


def gunicorn_settings(
    environ: Mapping[str, str], service: str, default_bind: str, tags: Sequence[str] = ()
) -> dict[str, Any]:
    """Gunicorn's settings, from BIND, WORKERS and THREADS where they are set. Times in seconds.

    With CONSUL_URL the service is registered there while it runs, under this name and with these
    tags. Raises SettingsError when a variable is wrong.
    """
    environment = Environment(service, environ)
    bind = environment.read("BIND", str, default_bind)
    workers = environment.read("WORKERS", whole(1, MOST), "2")
    threads = environment.read("THREADS", whole(1, MOST), "4")
    environment.check()
    registration = Registration.from_environ(environ, service, bind, tags)
    return {
        "bind": bind,
        "worker_class": "gthread",
        "workers": workers,
        "threads": threads,
        # Longer than a proxy in front keeps a connection idle: it must be the proxy that closes it.
        "keepalive": 75,
        # A worker that gives no sign of life for this long is replaced.
        "timeout": 60,
        # Requests in flight when the worker is told to stop may take this long to end.
        "graceful_timeout": 30,
        "control_socket_disable": True,
        "post_worker_init": start,
        "worker_exit": close,
        **(registering(registration) if registration else {}),
    }


def start(worker: Any) -> None:
    """Begin what runs beside the requests of a worker: `app.extensions["start"]`, if there is one.

    After the fork, as threads do not survive it.
    """
    _call(worker, "start")


def close(_master: Any, worker: Any) -> None:
    """Let go of what a worker holds: `app.extensions["close"]`."""
    _call(worker, "close")


def _call(worker: Any, name: str) -> None:
    # A worker that could not load its application has none.
    app = getattr(worker, "wsgi", None)
    act = getattr(app, "extensions", {}).get(name)
    if act is not None:
        act()


def registering(registration: Registration) -> dict[str, Any]:
    """Gunicorn's hooks that keep an instance in Consul: from its master, and so once for all
    workers."""
    # Only now: who does not register needs nothing of it in the master.
    from extracted.chassis.registrar import Registrar

    def when_ready(master: Any) -> None:
        # During an upgrade by SIGUSR2 two masters share the address: the one that ends first must
        # not take the other's instance out.
        def another_serves() -> bool:
            return bool(master.reexec_pid or master.master_pid)

        master.registrar = Registrar(registration, master.log.error_log, stays=another_serves)
        master.registrar.leave_on_signals()
        master.registrar.start()

    def on_exit(master: Any) -> None:
        # On the master itself, because a reload by SIGHUP makes these hooks anew.
        if registrar := getattr(master, "registrar", None):
            registrar.stop()

    return {"when_ready": when_ready, "on_exit": on_exit}
