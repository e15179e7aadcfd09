"""The services that are measured, as programs. Decides only; a Fleet starts them."""

import sys
from collections.abc import Mapping

from scripts.processes import Program


def small(name: str, port: int, environ: Mapping[str, str] | None = None) -> Program:
    """One of `scripts/measures/apps`: one process with four threads."""
    command = (
        *(sys.executable, "-m", "gunicorn", "--workers", "1", "--threads", "4"),
        *("--bind", f"127.0.0.1:{port}", f"scripts.measures.apps.{name}:create_app()"),
    )
    return Program(name, command, dict(environ or {}), port)


def service(name: str, module: str, port: int, environ: Mapping[str, str]) -> Program:
    """A part of the blog as it is run, with one worker of four threads."""
    folder = module.removesuffix(".app").replace(".", "/")
    command = (
        *(sys.executable, "-m", "gunicorn", "-c", f"{folder}/gunicorn.conf.py"),
        f"{module}:create_app()",
    )
    bound = {"BIND": f"127.0.0.1:{port}", "WORKERS": "1", "THREADS": "4"}
    return Program(name, command, {**environ, **bound}, port, "/health")
