"""The blog on its embedded defaults: which programs, on which ports, with what environment.

The commands are those of deploy/Procfile. Decides, writes files and prepares databases;
`scripts/processes.py` starts what is listed here.
"""

import contextlib
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from scripts import procfile
from scripts.processes import ROOT, ComponentFailedError, Fleet, Program, free_ports, last_lines
from strangler_proxy.shared_files import sync_folder

PROCFILE = ROOT / "deploy" / "Procfile"
LOOPBACK = "127.0.0.1"
BUCKET = "blog-images"
SERVICES = ("auth", "posts", "image", "payment")
# Who stands in for whom: the variable leads to the stand-in, or to the real one.
STAND_INS = {
    "object_store": "S3_ENDPOINT_URL",
    "mail_sink": "SMTP_URL",
    "stripe_double": "STRIPE_API_BASE",
}
MIGRATION_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of everything, at their defaults."""

    proxy: int = 8000
    monolith: int = 5000
    auth: int = 3001
    posts: int = 3002
    image: int = 3003
    payment: int = 3004
    object_store: int = 9000
    mail_sink: int = 1025
    stripe_double: int = 12111

    @classmethod
    def free(cls) -> "Ports":
        """Take ports that nobody uses now."""
        return cls(*free_ports(len(fields(cls))))


def new_secrets() -> dict[str, str]:
    """Make the secrets of one installation; no two have the same."""
    return {
        "JWT_SECRET": secrets.token_hex(32),
        "STRIPE_API_KEY": f"sk_test_{secrets.token_hex(16)}",
        "AWS_ACCESS_KEY_ID": secrets.token_hex(10).upper(),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "STRANGLER_ADMIN_TOKEN": secrets.token_hex(32),
    }


def environment(folder: Path, ports: Ports, own: Mapping[str, str]) -> dict[str, str]:
    """Return what the blog, its services and its steps read from the environment."""
    return {
        **own,
        "DATABASE_URL": f"sqlite:///{folder / 'blog.db'}",
        "S3_ENDPOINT_URL": f"http://{LOOPBACK}:{ports.object_store}",
        "S3_BUCKET": BUCKET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "SMTP_URL": f"smtp://{LOOPBACK}:{ports.mail_sink}",
        "MAIL_FROM": "blog@example.org",
        "STRIPE_API_BASE": f"http://{LOOPBACK}:{ports.stripe_double}",
        "SEAMS_FILE": str(folder / "seams.json"),
        **_services(folder, ports),
        **_places(folder, ports),
        "PROXY_WORKERS": "1",
    }


def _places(folder: Path, ports: Ports) -> dict[str, str]:
    """What the Procfile needs to know: where things are kept, and on which ports they listen."""
    served = ("monolith", *SERVICES)
    return {
        "SITE_DIR": str(folder),
        "PROXY_URL": f"http://{LOOPBACK}:{ports.proxy}",
        **{f"{name.upper()}_BIND": f"{LOOPBACK}:{getattr(ports, name)}" for name in served},
        **{f"{name.upper()}_PORT": str(getattr(ports, name)) for name in STAND_INS},
    }


def _services(folder: Path, ports: Ports) -> dict[str, str]:
    """What services need to know of each other and of their own things."""
    auth = f"http://127.0.0.1:{ports.auth}"
    return {
        "AUTH_DATABASE_URL": f"sqlite:///{folder / 'auth.db'}",
        "POSTS_DATABASE_URL": f"sqlite:///{folder / 'posts.db'}",
        "PAYMENT_DATABASE_URL": f"sqlite:///{folder / 'payment.db'}",
        "BROKER_URL": f"sqlite:///{folder / 'events.db'}",
        "MEMORY_FILE": str(folder / "mailed.db"),
        "AUTH_SERVICE_URL": auth,
        "IMAGE_SERVICE_URL": f"http://127.0.0.1:{ports.image}",
        "SIGNING_KEYS": str(folder / "keys"),
        "JWKS_URL": f"{auth}/.well-known/jwks.json",
        "JWKS_CACHE": str(folder / "jwks.json"),
        # Everybody comes through the proxy, which says for whom it asks.
        "TRUSTED_PROXY": "127.0.0.1/32",
        "LOGIN_LIMIT": "60/minute",
        # All who play and test here come from one address.
        "LOGIN_CLIENT_LIMIT": "6000/minute",
        "REGISTER_LIMIT": "6000/minute",
    }


def write_environment(path: Path, values: Mapping[str, str]) -> None:
    """Write a file that a shell can source, durably; its owner's alone from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    sync_folder(path.parent)


def read_environment(path: Path) -> dict[str, str]:
    """Read such a file back."""
    words = shlex.split(path.read_text("utf-8"), comments=True)
    pairs = (word.partition("=") for word in words)
    return {name: value for name, _, value in pairs}


def write_routes(source: Path, target: Path, ports: Ports) -> None:
    """Copy strangler.yaml with its comments, for other ports."""
    yaml = YAML()
    routes = yaml.load(source)
    routes["listen"] = f"127.0.0.1:{ports.proxy}"
    routes.pop("admin", None)
    for name, upstream in routes["upstreams"].items():
        upstream["url"] = f"http://127.0.0.1:{getattr(ports, name)}"
    with target.open("w", encoding="utf-8") as file:
        yaml.dump(routes, file)


def stand_ins(folder: Path, ports: Ports, environ: Mapping[str, str]) -> list[Program]:
    """Return the local stand-ins, in the order in which to start them.

    There is one for each of STAND_INS whose variable leads to it, and none for what is elsewhere.
    """
    health = {"object_store": "/moto-api/data.json", "stripe_double": "/_double/health"}
    here = {**environ, **_places(folder, ports)}
    return [
        _program(name, here, getattr(ports, name), health.get(name))
        for name, variable in STAND_INS.items()
        if leads_to(environ[variable], getattr(ports, name))
    ]


def leads_to(url: str, port: int) -> bool:
    """Return whether an address, a valid one, is that of a stand-in on this loopback port."""
    parts = urlsplit(url)
    return parts.hostname in {LOOPBACK, "localhost"} and parts.port == port


def monolith(
    ports: Ports, environ: Mapping[str, str], *, workers: int = 2, threads: int = 4
) -> Program:
    """Return the blog under gunicorn."""
    here = {
        **environ,
        "MONOLITH_BIND": f"{LOOPBACK}:{ports.monolith}",
        "WORKERS": str(workers),
        "THREADS": str(threads),
    }
    return _program("monolith", here, ports.monolith, "/health")


def proxy(ports: Ports, environ: Mapping[str, str], routes: Path) -> Program:
    """Return the proxy, which is up when the blog's health can be read through it."""
    here = {"PROXY_WORKERS": "1", **environ, "STRANGLER_CONFIG": str(routes)}
    return _program("proxy", here, ports.proxy, "/health")


def _program(name: str, environ: Mapping[str, str], port: int, health: str | None) -> Program:
    """Return a process of the Procfile with this environment. Raises ProcfileError."""
    processes = procfile.read(PROCFILE)
    if name not in processes:
        raise procfile.ProcfileError(f"{PROCFILE} needs a line for {name}")
    run = processes[name].resolve(environ)
    # The programs that it names are those of the environment that this runs in.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    own = {"PATH": path, "PYTHONPATH": str(ROOT), **environ, **run.environment}
    return Program(name, run.command, own, port, health)


def migrate(fleet: Fleet, environ: Mapping[str, str]) -> None:
    """Bring the blog's database to its newest schema. Raises ComponentFailedError."""
    prepare(fleet.logs, "monolith", (sys.executable, "-m", "monolith.db", "upgrade"), environ)


def prepare(logs: Path, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Bring the database of `name` up to date by this command, whose output goes into a log.

    Raises ComponentFailedError when it fails or takes longer than MIGRATION_TIMEOUT_S.
    """
    called, variable = (
        ("the monolith", "DATABASE_URL")
        if name == "monolith"
        else (name, f"{name.upper()}_DATABASE_URL")
    )
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}-schema.log"
    why = f"took longer than {MIGRATION_TIMEOUT_S} s"
    with log.open("wb") as output, contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=MIGRATION_TIMEOUT_S,
            check=False,
        )
        if done.returncode == 0:
            return
        why = f"status {done.returncode}"
    raise ComponentFailedError(
        f"the database of {called} ({variable}) could not be prepared, {why}:\n"
        f"{_last_words(log)}\n    (all of it: {log})"
    )


def _last_words(log: Path) -> str:
    """Return what a command said at last, without the traceback before it."""
    words: list[str] = []
    for line in reversed(last_lines(log).splitlines()):
        if line.startswith("  "):
            break
        words.insert(0, f"    {line.strip()}")
    return "\n".join(words) or last_lines(log)
