"""The product itself, with its routing on: the twelve routes of a blog, one of them measured."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from scripts.benchmarks.peers.peer import IDLE_S, ROOT, SHORT_S, Launch, Peer, Site

# Name, match, who is trusted, who is to take over. The load uses the eighth, tenth and eleventh.
_ROUTES = (
    ("register", "POST /register", "pages", "sink"),
    ("login", "POST /login", "pages", "sink"),
    ("verify", "POST /verify", "pages", "sink"),
    ("user", "GET /users/<int:user_id>", "pages", "sink"),
    ("rename", "PATCH /users/<int:user_id>", "pages", "sink"),
    ("posts", "GET /posts", "pages", "sink"),
    ("new-post", "POST /posts", "pages", "sink"),
    ("post", "GET /posts/<int:post_id>", "pages", "sink"),
    ("comments", "GET /comments", "pages", "sink"),
    ("image", "GET /images/<name>", "pages", "sink"),
    ("upload", "POST /upload", "sink", "pages"),
    ("payment", "POST /payment", "pages", "sink"),
)


def configuration(site: Site) -> dict[str, Any]:
    """The content of its strangler.yaml, made anew: `bench gateway` adds to it."""
    return {
        "listen": f"127.0.0.1:{site.listen}",
        "timeouts": {"keepalive_s": IDLE_S},
        "upstreams": {
            "pages": {"url": f"http://127.0.0.1:{site.pages}"},
            "sink": {"url": f"http://127.0.0.1:{site.sink}"},
        },
        "default": "pages",
        "routes": [
            {"name": name, "match": match, "control": control, "candidate": candidate}
            for name, match, control, candidate in _ROUTES
        ],
    }


def launch_with(
    content: dict[str, Any], executable: str, site: Site, env: Mapping[str, str] | None = None
) -> Launch:
    """How it is started with this content of strangler.yaml, which is written."""
    config = site.folder / "strangler.yaml"
    config.write_text(json.dumps(content, indent=1))  # JSON is YAML
    return Launch([executable, "serve", "-c", str(config), "--workers", "1"], env=env or {})


def _launch(executable: str, site: Site) -> Launch:
    return launch_with(configuration(site), executable, site)


def _find() -> str | None:
    executable = shutil.which("strangler")
    if executable is None:
        return None
    try:
        works = subprocess.run(
            [executable, "serve", "--help"], capture_output=True, timeout=SHORT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return executable if works.returncode == 0 else None


def _version(_executable: str) -> str:
    """The distribution's version, with the checkout's commit when there is one."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SHORT_S,
        check=False,
    )
    return f"{version('strangler-proxy')} {described.stdout.strip()}".strip()


STRANGLER = Peer(
    name="strangler",
    title="strangler",
    install="a checkout in which `strangler serve --help` works",
    find=_find,
    version=_version,
    launch=_launch,
)
