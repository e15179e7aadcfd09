"""Tokens that auth has signed, at processes that have met none of them when auth is gone."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from scripts.processes import Fleet, Program, Running, free_ports
from tests.blog import NOWHERE
from tests.integration.auth.conftest import someone
from tests.wire_tools.proxy import until

POST = {"title": "Title", "body": "Body"}


@dataclass
class Site:
    """Auth, posts and the monolith, each with files of its own, as in containers."""

    fleet: Fleet
    folder: Path
    secret: str
    ports: dict[str, int]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def cache(self, name: str) -> Path:
        """Where this process keeps the keys that it knows."""
        return self.folder / name / "jwks.json"

    def run(self, name: str, *command: str) -> None:
        environment = self._environment(name)
        subprocess.run([sys.executable, "-m", *command], env=environment, check=True, timeout=60)

    def start(self, name: str, module: str) -> Running:
        serve = ("-m", "gunicorn", "-c", f"{module}/gunicorn.conf.py")
        command = (sys.executable, *serve, f"{module.replace('/', '.')}.app:create_app()")
        environment = self._environment(name)
        return self.fleet.start(
            Program(name, command, environment, self.ports[name], health="/health")
        )

    def stop(self, running: Running) -> None:
        self.fleet.running.remove(running)
        running.process.terminate()
        running.process.wait(20)

    def _environment(self, name: str) -> dict[str, str]:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        jwks = f"{self.url('auth')}/.well-known/jwks.json"
        return {
            **os.environ,
            "BIND": f"127.0.0.1:{self.ports[name]}",
            "WORKERS": "1",
            "DATABASE_URL": f"sqlite:///{folder / 'own.db'}",
            "BROKER_URL": f"sqlite:///{folder / 'events.db'}",
            "SIGNING_KEYS": str(folder / "keys"),
            "JWT_SECRET": self.secret,
            "BCRYPT_ROUNDS": "4",
            "TOKEN_CHECK": "signature",
            "JWKS_URL": jwks,
            "AUTH_JWKS_URL": jwks,
            "JWKS_CACHE": str(self.cache(name)),
            "IMAGE_SERVICE_URL": f"http://{NOWHERE}",
            "S3_BUCKET": "blog",
            "S3_ENDPOINT_URL": f"http://{NOWHERE}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "SMTP_URL": f"smtp://{NOWHERE}",
            "MAIL_FROM": "blog@example.org",
            "STRIPE_API_KEY": "sk_test_none",
            "STRIPE_API_BASE": f"http://{NOWHERE}",
        }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    names = ("auth", "posts", "monolith")
    with Fleet(tmp_path / "logs") as fleet:
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        yield Site(fleet, tmp_path, secrets.token_hex(32), ports)


def test_with_auth_gone_its_tokens_are_good_where_none_has_come_before(site: Site) -> None:
    site.run("posts", "extracted.chassis.schema", "upgrade", "posts")
    site.run("monolith", "monolith.db", "upgrade")
    posts = site.start("posts", "extracted/posts")  # before auth is there, and so asks in vain
    site.start("monolith", "monolith")
    requests.post(f"{site.url('monolith')}/register", json=someone(), timeout=20).raise_for_status()

    site.run("auth", "extracted.auth.keys", "new")
    site.run("auth", "extracted.chassis.schema", "upgrade", "auth")
    auth = site.start("auth", "extracted/auth")
    for name in ("posts", "monolith"):
        until(site.cache(name).exists, f"{name} has the keys", 30)
    requests.post(f"{site.url('auth')}/register", json=someone(), timeout=20).raise_for_status()
    token = requests.post(f"{site.url('auth')}/login", json=someone(), timeout=20).json()["token"]
    site.stop(auth)

    def status(name: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{site.url(name)}/posts"
        return requests.post(url, json=POST, headers=headers, timeout=30).status_code

    # The monolith sends the mail inside the request, and has stored the post when that fails.
    assert [status(name) for name in ("posts", "monolith")] == [201, 201]
    site.stop(posts)
    site.start("posts", "extracted/posts")
    assert status("posts") == 201
