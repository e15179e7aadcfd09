"""Services and the monolith under gunicorn, with an environment that no service can live in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NEEDED = {
    "auth": ("DATABASE_URL", "BROKER_URL", "SIGNING_KEYS"),
    "posts": ("DATABASE_URL", "BROKER_URL", "JWT_SECRET"),
    "image": ("JWT_SECRET", "S3_BUCKET"),
    "payment": ("JWT_SECRET", "BROKER_URL", "DATABASE_URL", "STRIPE_API_KEY"),
    "monolith": ("JWT_SECRET", "S3_BUCKET", "SMTP_URL", "MAIL_FROM", "STRIPE_API_KEY"),
}


def refused(name: str, **environ: str) -> list[str]:
    """What is said of this environment."""
    folder = name if name == "monolith" else f"extracted/{name}"
    application = f"{folder.replace('/', '.')}.app:create_app()"
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", f"{folder}/gunicorn.conf.py", application],
        env={"PATH": os.environ["PATH"], "BIND": "127.0.0.1:0", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.splitlines()


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_missing_or_wrong_is_told_once_and_nothing_else(name: str) -> None:
    title = name if name == "monolith" else f"{name} service"
    assert refused(name, WORKERS="abc", THREADS="0") == [
        f"The {title} cannot start:",
        "  - WORKERS is 'abc'; write a whole number from 1 to 1000",
        "  - THREADS is '0'; write a whole number from 1 to 1000",
        *(f"  - {variable} is not set" for variable in NEEDED[name]),
    ]


def test_auth_without_a_key_says_how_to_make_one(tmp_path: Path) -> None:
    environ = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/auth.db",
        "BROKER_URL": f"sqlite:///{tmp_path}/events.db",
        "SIGNING_KEYS": f"{tmp_path}/keys",
    }
    first, told = refused("auth", **environ)
    assert first == "The auth service cannot start:"
    assert told.endswith(f"make one: python -m extracted.auth.keys new --dir {tmp_path}/keys")
