import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from sqlalchemy import create_engine, text

from scripts import stack
from tests.e2e.local import ROOT, Site
from tests.services import scratch_database

pytestmark = pytest.mark.timeout(240)  # several starts of everything, maybe beside other tests


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.up("--down")


def test_detached_it_answers_keeps_its_data_and_secrets_and_goes_down(site: Site) -> None:
    started = site.up("--detach")
    assert started.returncode == 0, started.stdout
    assert f"http://127.0.0.1:{site.ports.proxy}" in started.stdout
    assert site.up("--status").returncode == 0
    assert site.up("--detach").returncode == 2  # it is running already
    env = site.data / "env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    secrets = stack.read_environment(env)

    account = {"email": "ann@example.org", "password": "correct horse", "name": "Ann"}
    created = requests.post(site.url("/register"), json=account, timeout=10)
    assert created.status_code == 201
    token = requests.post(site.url("/login"), json=account, timeout=10).json()["token"]

    assert site.up("--down").returncode == 0
    assert site.up("--status").returncode == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(site.url("/health"), timeout=5)

    assert site.up("--detach").returncode == 0
    assert stack.read_environment(env) == secrets
    verified = requests.post(site.url("/verify"), json={"token": token}, timeout=10)
    assert verified.json()["email"] == "ann@example.org"


def test_the_environment_file_can_be_sourced_and_serves_the_step_script(site: Site) -> None:
    assert site.up("--detach").returncode == 0
    script = f'set -a; . "{site.data}/env"; exec scripts/step_1_image.py -c "{site.routes}"'
    plan = subprocess.run(
        ("bash", "-c", script), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert plan.returncode == 0, plan.stderr
    assert "nothing was changed" in plan.stdout


def test_a_service_that_callers_are_sent_to_is_started_before_the_proxy(site: Site) -> None:
    site.send_to_candidate("image")
    started = site.up("--detach")
    assert started.returncode == 0, started.stdout
    names = [line.split()[1] for line in started.stdout.splitlines() if "starting" in line]
    assert names.index("image,") < names.index("proxy")
    assert requests.get(site.url("/images/none.jpg"), timeout=10).status_code == 404
    assert "image              running" in site.up("--status").stdout
    assert site.up("--down").returncode == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{site.ports.image}/health", timeout=5)


def test_a_taken_port_is_told_and_what_was_started_is_stopped(site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.ports.monolith)):
        failed = site.up("--detach")
    assert failed.returncode == 1
    assert f"monolith needs port {site.ports.monolith}" in failed.stdout
    assert "stopping object_store" in failed.stdout
    assert site.up("--status").stdout.startswith("nothing is running")


@contextmanager
def in_the_foreground(site: Site) -> Iterator[subprocess.Popen[str]]:
    """It has come up; what it says from then on is on its stdout."""
    with subprocess.Popen(
        site.command(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as up:
        try:
            until(up, "Ctrl-C")
            yield up
        finally:
            up.terminate()


def until(up: subprocess.Popen[str], text: str) -> str:
    """The line that says so; the test's own limit bounds the wait."""
    assert up.stdout is not None
    line = next((line for line in up.stdout if text in line), None)
    assert line is not None, f"it ended without saying {text!r}"
    return line


def test_in_the_foreground_ctrl_c_stops_everything_in_reverse(site: Site) -> None:
    with in_the_foreground(site) as up:
        assert requests.get(site.url("/health"), timeout=10).ok
        os.kill(up.pid, signal.SIGINT)
        stopped = [until(up, "stopping").split()[1]]
        os.kill(up.pid, signal.SIGINT)  # is in a hurry
        assert up.stdout is not None
        stopped += [line.split()[1] for line in up.stdout if line.startswith("stopping")]
        assert up.wait(60) == 0
    assert stopped == ["proxy", "monolith", "stripe_double", "mail_sink", "object_store"]


def test_in_the_foreground_a_service_that_dies_is_started_again_and_the_base_is_not(
    site: Site,
) -> None:
    site.send_to_candidate("posts-list")
    with in_the_foreground(site) as up:
        # Its tables were made, though no step has been here.
        assert requests.get(site.url("/posts"), timeout=10).json()["posts"] == []
        again = site.up("--detach")
        assert again.returncode == 2, "one site is in one hand"
        before = site.programs()
        assert {name for name, each in before.items() if each["kind"] == "moved"} == {
            *("posts", "posts-consumer", "email-worker")
        }
        os.kill(before["posts"]["pid"], signal.SIGKILL)
        until(up, "posts has ended by itself and is started again in 1 s")
        until(up, "posts runs again")
        assert requests.get(site.url("/posts"), timeout=10).json()["posts"] == []

        os.kill(before["stripe_double"]["pid"], signal.SIGKILL)
        until(up, "stripe_double ended by itself with status -9")
        until(up, "stopping proxy")
        assert up.stdout is not None
        assert "stopped posts, which a step had started" in up.stdout.read()
        assert up.wait(60) == 1


@pytest.mark.services
def test_servers_given_by_url_are_kept_and_used_and_need_no_stand_in(site: Site) -> None:
    with scratch_database("postgresql") as database, socket.create_server(("127.0.0.1", 0)) as mail:
        smtp = f"smtp://127.0.0.1:{mail.getsockname()[1]}"
        started = site.up("--detach", DATABASE_URL=database, SMTP_URL=smtp)
        assert started.returncode == 0, started.stdout
        assert f"SMTP_URL={smtp}" in started.stdout
        assert "elsewhere: no stand-in runs" in started.stdout
        assert site.environ["DATABASE_URL"] == database
        assert set(site.programs()) == {"object_store", "stripe_double", "monolith", "proxy"}
        account = {"email": "ann@example.org", "password": "correct horse", "name": "Ann"}
        assert requests.post(site.url("/register"), json=account, timeout=10).status_code == 201
        engine = create_engine(database)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT name FROM users")).scalars().all() == ["Ann"]
        engine.dispose()
        assert site.up("--down").returncode == 0


def test_nothing_is_started_or_kept_of_urls_that_cannot_be_used(site: Site) -> None:
    kept = site.environ
    bad = site.up("--detach", AUTH_DATABASE_URL="oracle://db/auth", BROKER_URL="nonsense")
    assert bad.returncode == 2
    assert "- AUTH_DATABASE_URL names 'oracle'" in bad.stdout
    assert "- BROKER_URL is no broker's address" in bad.stdout
    silent = site.up("--detach", DATABASE_URL="postgresql+psycopg://blog:hush@127.0.0.1:1/blog")
    assert silent.returncode == 1
    assert "the database of the monolith (DATABASE_URL) could not be prepared" in silent.stdout
    assert "Traceback" not in silent.stdout
    assert "Connection refused" in silent.stdout
    assert "hush" not in silent.stdout
    assert "starting" not in bad.stdout + silent.stdout
    assert site.environ == kept
