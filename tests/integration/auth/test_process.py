"""The service as it is run: the commands of docs/services.md, gunicorn, and two workers."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from extracted.auth.keyfolder import load
from extracted.chassis.events import Subscription, open_broker
from extracted.chassis.events.envelope import read
from extracted.chassis.events.payloads import UserRegistered
from scripts.processes import Fleet, Program, free_ports
from tests.integration.auth.conftest import someone
from tests.wire_tools.proxy import until


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'auth.db'}",
        "BROKER_URL": f"sqlite:///{tmp_path / 'events.db'}",
        "SIGNING_KEYS": str(tmp_path / "keys"),
        "JWT_SECRET": secrets.token_hex(32),
        "BCRYPT_ROUNDS": "4",
    }


def run(environment: dict[str, str], *command: str) -> None:
    subprocess.run([sys.executable, "-m", *command], env=environment, check=True, timeout=60)


@pytest.fixture
def url(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    run(environment, "extracted.auth.keys", "new")
    run(environment, "extracted.chassis.schema", "upgrade", "auth")
    (port,) = free_ports(1)
    serve = ("gunicorn", "-c", "extracted/auth/gunicorn.conf.py", "extracted.auth.app:create_app()")
    variables = {**environment, "BIND": f"127.0.0.1:{port}"}
    with Fleet(tmp_path / "logs") as fleet:
        fleet.start(Program("auth", serve, variables, port, health="/health"))
        yield f"http://127.0.0.1:{port}"


def published(url: str) -> set[str]:
    keys = requests.get(f"{url}/.well-known/jwks.json", timeout=10).json()["keys"]
    return {key["kid"] for key in keys}


def test_a_token_of_one_worker_is_good_at_all_and_a_rotation_reaches_them(
    url: str, environment: dict[str, str]
) -> None:
    assert requests.post(f"{url}/register", json=someone(), timeout=10).status_code == 201
    token = requests.post(f"{url}/login", json=someone(), timeout=10).json()["token"]
    run(environment, "extracted.auth.keys", "rotate")
    kids = {key.kid for key in load(Path(environment["SIGNING_KEYS"]))}
    assert len(kids) == 2
    for _ in range(20):
        assert published(url) == kids
        assert requests.post(f"{url}/verify", json={"token": token}, timeout=10).ok


def test_a_worker_sends_what_has_happened(url: str, environment: dict[str, str]) -> None:
    consumer = open_broker(environment["BROKER_URL"]).consumer(Subscription("all", ("user.*",)))
    assert consumer.receive(0) is None  # now the queue is there
    requests.post(f"{url}/register", json=someone(), timeout=10)
    taken = []
    until(lambda: taken.append(consumer.receive(1)) or taken[-1], "the event comes", 40)
    payload = read(taken[-1].message.body).payload
    assert isinstance(payload, UserRegistered)
    assert payload.user.email == someone()["email"]
    consumer.done(taken[-1])
    consumer.close()
