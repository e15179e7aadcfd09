"""The blog to be accepted: the one at BLOG_URL, or the monolith under gunicorn on each database.

With BLOG_URL set, the same suite judges any deployment, at any stage of the migration;
BLOG_MAIL_DIR then names the folder of its mail sink, without which mail is not looked at, and
BLOG_STAGE=retired says that there is no monolith any more.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from scripts.processes import Fleet, Program, free_ports
from tests.services import scratch_database

DATABASES = (
    ["running"]
    if os.environ.get("BLOG_URL")
    else [
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.services),
        pytest.param("mysql", marks=pytest.mark.services),
    ]
)


@dataclass(frozen=True)
class StandIns:
    """Where the local S3, Stripe and mail server are, as the monolith's environment says it."""

    environment: dict[str, str]
    mail: Path


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIns]:
    """The three stand-ins, running."""
    folder = tmp_path_factory.mktemp("stand-ins")
    names = ("object_store", "stripe_double", "mail_sink")
    ports = dict(zip(names, free_ports(3), strict=True))
    with Fleet(folder / "logs") as fleet:
        for name, port in ports.items():
            place = ("--port", str(port), "--dir", str(folder / name))
            command = (sys.executable, "-m", f"scripts.embedded.{name}", *place)
            fleet.start(Program(name, command, {"S3_BUCKET": "blog"}, port))
        environment = {
            "JWT_SECRET": secrets.token_hex(32),
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{ports['object_store']}",
            "S3_BUCKET": "blog",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "SMTP_URL": f"smtp://127.0.0.1:{ports['mail_sink']}",
            "MAIL_FROM": "blog@example.org",
            "STRIPE_API_KEY": "sk_test_" + secrets.token_hex(8),
            "STRIPE_API_BASE": f"http://127.0.0.1:{ports['stripe_double']}",
            "BCRYPT_ROUNDS": "4",
        }
        yield StandIns(environment, folder / "mail_sink")


@dataclass(frozen=True)
class Account:
    """Somebody who is logged in."""

    id: int
    email: str
    password: str
    name: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Blog:
    """A running blog, asked as clients ask."""

    url: str
    mail: Path | None
    session: requests.Session

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request; nothing is followed or retried."""
        return self.session.request(
            method, self.url + path, timeout=30, allow_redirects=False, **more
        )

    def account(self, name: str = "Ann") -> Account:
        """Register somebody new and log in."""
        email, password = f"{uuid.uuid4().hex}@example.org", secrets.token_hex(8)
        told = {"email": email, "password": password, "name": name}
        assert self.ask("POST", "/register", json=told).status_code == 201
        answer = self.ask("POST", "/login", json=told).json()
        headers = {"Authorization": f"Bearer {answer['token']}"}
        return Account(answer["user"]["id"], email, password, name, headers)

    def mail_to(self, email: str) -> EmailMessage:
        """The one message to this address, waited for."""
        if self.mail is None:
            pytest.skip("BLOG_MAIL_DIR does not say where the mail goes")
        deadline = time.monotonic() + 10
        while True:
            for path in sorted(self.mail.glob("*.eml")):
                data = path.read_bytes()
                if email.encode() in data:
                    return cast("EmailMessage", message_from_bytes(data, policy=default))
            assert time.monotonic() < deadline, f"no mail to {email} came"
            time.sleep(0.05)


@pytest.fixture(scope="session", params=DATABASES)
def blog(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Blog]:
    """The blog to be accepted."""
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        if request.param == "running":
            mail = os.environ.get("BLOG_MAIL_DIR")
            yield Blog(os.environ["BLOG_URL"].rstrip("/"), Path(mail) if mail else None, session)
            return
        stand_ins: StandIns = request.getfixturevalue("stand_ins")
        folder = tmp_path_factory.mktemp("blog")
        database = f"sqlite:///{folder / 'blog.db'}"
        if request.param != "sqlite":
            database = stack.enter_context(scratch_database(request.param))
        fleet = stack.enter_context(Fleet(folder / "logs"))
        url = start_monolith(fleet, {**stand_ins.environment, "DATABASE_URL": database})
        yield Blog(url, stand_ins.mail, session)


def start_monolith(fleet: Fleet, environment: dict[str, str]) -> str:
    """Upgrade the schema and serve; gives the address."""
    (port,) = free_ports(1)
    serve = "exec gunicorn -c monolith/gunicorn.conf.py 'monolith.app:create_app()'"
    command = ("sh", "-c", f"python -m monolith.db upgrade && {serve}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {**environment, "BIND": f"127.0.0.1:{port}", "PATH": path}
    fleet.start(Program("monolith", command, variables, port, health="/health"))
    return f"http://127.0.0.1:{port}"
