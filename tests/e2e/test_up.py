import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from scripts import stack
from tests.e2e.local import ROOT, Site

pytestmark = pytest.mark.timeout(120)


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
    routes = site.routes.read_text()
    at = routes.index("- name: image\n")
    site.routes.write_text(
        routes[:at] + routes[at:].replace("serve: control", "serve: candidate", 1)
    )
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


def test_in_the_foreground_ctrl_c_stops_everything_in_reverse(site: Site) -> None:
    with subprocess.Popen(
        site.command(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as up:
        assert up.stdout is not None
        for line in up.stdout:
            if "Ctrl-C" in line:
                break
        assert requests.get(site.url("/health"), timeout=10).ok
        os.kill(up.pid, signal.SIGINT)
        stopped = [line.split()[1] for line in up.stdout if line.startswith("stopping")]
        assert up.wait(60) == 0
    assert stopped == ["proxy", "monolith", "stripe_double", "mail_sink", "object_store"]
