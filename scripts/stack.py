"""The blog on its embedded defaults: which programs, on which ports, with what environment.

Decides and writes files only; `scripts/processes.py` starts what is listed here.
"""

import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from ruamel.yaml import YAML

from scripts.processes import ROOT, ComponentFailedError, Fleet, Program, free_ports

BUCKET = "blog-images"
SERVICES = ("auth", "posts", "image", "payment")
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
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{ports.object_store}",
        "S3_BUCKET": BUCKET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "SMTP_URL": f"smtp://127.0.0.1:{ports.mail_sink}",
        "MAIL_FROM": "blog@example.org",
        "STRIPE_API_BASE": f"http://127.0.0.1:{ports.stripe_double}",
        "SEAMS_FILE": str(folder / "seams.json"),
        **_services(folder, ports),
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
    }


def write_environment(path: Path, values: Mapping[str, str]) -> None:
    """Write a file that a shell can source; for its owner's eyes only, from its first byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    part.rename(path)


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
    """Return the local stand-ins, in the order in which to start them."""

    def stand_in(name: str, port: int, keeps: str, health: str | None) -> Program:
        arguments = ("--port", str(port), "--dir", str(folder / keeps))
        command = (sys.executable, "-m", f"scripts.embedded.{name}", *arguments)
        return Program(name, command, {**environ, "PYTHONPATH": str(ROOT)}, port, health)

    return [
        stand_in("object_store", ports.object_store, "objects", "/moto-api/data.json"),
        stand_in("mail_sink", ports.mail_sink, "mail", None),
        stand_in("stripe_double", ports.stripe_double, "stripe", "/_double/health"),
    ]


def monolith(
    ports: Ports, environ: Mapping[str, str], *, workers: int = 2, threads: int = 4
) -> Program:
    """Return the blog under gunicorn."""
    return Program(
        "monolith",
        (
            *(sys.executable, "-m", "gunicorn", "-c", "monolith/gunicorn.conf.py"),
            "monolith.app:create_app()",
        ),
        {
            **environ,
            "BIND": f"127.0.0.1:{ports.monolith}",
            "WORKERS": str(workers),
            "THREADS": str(threads),
        },
        ports.monolith,
        "/health",
    )


def proxy(ports: Ports, environ: Mapping[str, str], routes: Path, *, workers: int = 1) -> Program:
    """Return the proxy, which is up when the blog's health can be read through it."""
    strangler = str(Path(sys.executable).parent / "strangler")
    command = (strangler, "serve", "-c", str(routes), "--workers", str(workers))
    return Program("proxy", command, dict(environ), ports.proxy, "/health")


def migrate(fleet: Fleet, environ: Mapping[str, str]) -> None:
    """Bring the blog's database to its newest schema. Raises ComponentFailedError."""
    done = subprocess.run(
        (sys.executable, "-m", "monolith.db", "upgrade"),
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MIGRATION_TIMEOUT_S,
        check=False,
    )
    fleet.logs.mkdir(parents=True, exist_ok=True)
    said = done.stdout + done.stderr
    (fleet.logs / "migrate.log").write_text(said, "utf-8")
    if done.returncode != 0:
        raise ComponentFailedError(
            f"the database could not be prepared (status {done.returncode}):\n{said[-2000:]}"
        )
