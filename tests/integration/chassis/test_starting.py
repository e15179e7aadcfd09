"""Services and the monolith under gunicorn, with an environment that no service can live in."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NEEDED = {
    "auth": ("DATABASE_URL", "BROKER_URL", "SIGNING_KEYS"),
    "posts": ("DATABASE_URL", "BROKER_URL", "JWT_SECRET"),
    "image": ("JWT_SECRET", "S3_BUCKET"),
    "payment": ("JWT_SECRET", "BROKER_URL", "DATABASE_URL", "STRIPE_API_KEY"),
    "monolith": ("JWT_SECRET", "S3_BUCKET", "SMTP_URL", "MAIL_FROM", "STRIPE_API_KEY"),
}


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_missing_or_wrong_is_told_once_and_nothing_else(name: str) -> None:
    folder, title = ("monolith", "monolith")
    if name != "monolith":
        folder, title = f"extracted/{name}", f"{name} service"
    application = f"{folder.replace('/', '.')}.app:create_app()"
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", f"{folder}/gunicorn.conf.py", application],
        env={"PATH": os.environ["PATH"], "BIND": "127.0.0.1:0", "WORKERS": "abc", "THREADS": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"The {title} cannot start:",
        "  - WORKERS is 'abc'; write a whole number from 1 to 1000",
        "  - THREADS is '0'; write a whole number from 1 to 1000",
        *(f"  - {variable} is not set" for variable in NEEDED[name]),
    ]
