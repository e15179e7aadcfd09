"""What the steps compare before a flip is enough for what they ask for when nothing is given."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from scripts.walking.steps import STEPS, StepScript
from strangler_proxy.config import load
from strangler_proxy.steps.gates import AnswersCompared
from strangler_proxy.steps.script import Script, Site
from tests.declared_site import declared_site

POSTS = [
    {"id": n, "author": {"id": n % 60}, "image_url": f"/images/{n}.jpg"} for n in range(200, 0, -1)
]


class Listing(BaseHTTPRequestHandler):
    """GET /posts of a blog with 60 authors, page by page."""

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        page, size = int(asked["page"][0]), int(asked["per_page"][0])
        body = json.dumps({"posts": POSTS[(page - 1) * size : page * size]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    declared = declared_site(tmp_path, monkeypatch)
    with ThreadingHTTPServer(("127.0.0.1", 0), Listing) as front:
        serving = threading.Thread(target=front.serve_forever, args=(0.05,))
        serving.start()
        text = declared.config_path.read_text()
        listen = f"listen: 127.0.0.1:{front.server_address[1]}"
        written = text.replace(f"listen: {declared.config.address}", listen)
        assert written != text
        declared.config_path.write_text(written)
        yield Site(load(declared.config_path), declared.config_path, declared.run_dir)
        front.shutdown()
        serving.join(5)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_defaults_ask_for_no_more_samples_than_a_blog_has(step: StepScript, site: Site) -> None:
    module = importlib.import_module(step.path.removesuffix(".py").replace("/", "."))
    script = cast(Script, module.SCRIPT)
    declared = script.declare(script.options(), site)
    gates = [gate for stage in declared.stages for gate in stage.gates]
    comparing = [gate for gate in gates if isinstance(gate, AnswersCompared)]
    assert bool(comparing) == (step.name != "retire")
    for gate in comparing:
        assert len(set(gate.samples())) >= gate.minimum
