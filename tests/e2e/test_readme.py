"""What the README tells a newcomer to type is typed here, in an empty folder."""

import json
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from flask import Flask
from werkzeug.serving import make_server

from strangler_proxy.config import load

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STRANGLER = str(Path(sys.executable).with_name("strangler"))
DEADLINE_S = 30


def _block(heading: str, language: str) -> str:
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.search(rf"```{language}\n(.*?)```", section, re.S)
    assert found, f"the README has no {language} block under '{heading}'"
    return found[1]


@pytest.fixture
def monolith_url() -> Iterator[str]:
    app = Flask("somebody's monolith")
    app.get("/hello")(lambda: "hello from the monolith")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def test_your_own_monolith_in_five_lines(tmp_path: Path, monolith_url: str) -> None:
    lines = [
        shlex.split(line, comments=True)
        for line in _block("Your own monolith in five lines", "sh").splitlines()
    ]
    assert [line[:2] for line in lines[1:]] == [
        ["strangler", "init"],
        ["strangler", "check"],
        ["strangler", "serve"],
        ["strangler", "flip"],
    ]
    _, init, check, serve, flip = lines
    folder = tmp_path
    file = folder / "strangler.yaml"

    _run([STRANGLER, "init", monolith_url, *init[3:]], folder)
    _run([STRANGLER, *check[1:]], folder)
    file.write_text(file.read_text().replace("listen: 127.0.0.1:8000", "listen: 127.0.0.1:0"))

    with subprocess.Popen([STRANGLER, *serve[1:]], cwd=folder) as proxy:
        try:
            url = f"http://{_listening(folder)}"
            assert requests.get(f"{url}/hello", timeout=5).text == "hello from the monolith"

            text = file.read_text()
            text = text.replace("  # image: ", "  image: ").replace("  #   url:", "    url:")
            route = _block("Your own monolith in five lines", "yaml")
            file.write_text(text.replace("routes: []\n", route))
            _run([STRANGLER, *check[1:]], folder)
            _run([STRANGLER, *flip[1:]], folder)
            served = load(file).route("upload")
            assert served is not None
            assert served.serve.candidate_percent == 5
            assert requests.get(f"{url}/hello", timeout=5).text == "hello from the monolith"
        finally:
            proxy.terminate()
        assert proxy.wait(DEADLINE_S) == 0


def _listening(folder: Path) -> str:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        asked = subprocess.run(
            [STRANGLER, "status", "--json"], cwd=folder, capture_output=True, text=True, timeout=10
        )
        if asked.returncode == 0:
            return str(json.loads(asked.stdout)["listen"])
    raise AssertionError("the proxy did not start")


def test_every_file_and_script_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))
    named |= set(re.findall(r"(?m)^(scripts/[a-z0-9_.]+)", README))
    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
