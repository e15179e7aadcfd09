"""A site of `scripts/up` for a test: other ports than the defaults, data in the test's folder."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from scripts import stack

ROOT = Path(__file__).resolve().parents[2]


class Site:
    """It is down at first; `up("--detach")` starts it."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.ports = stack.Ports.free()
        self.data = folder / "va r"  # a space, as folders have
        self.routes = folder / "strangler.yaml"
        self.run_dir = folder / ".strangler"
        stack.write_routes(ROOT / "strangler.yaml", self.routes, self.ports)
        stack.write_environment(
            self.data / "env",
            {
                "OBJECT_STORE_PORT": str(self.ports.object_store),
                "MAIL_SINK_PORT": str(self.ports.mail_sink),
                "STRIPE_DOUBLE_PORT": str(self.ports.stripe_double),
                **variables,
            },
        )

    @property
    def environ(self) -> dict[str, str]:
        """What a shell has that sources the site's environment."""
        return stack.read_environment(self.data / "env")

    def command(self, *arguments: str) -> tuple[str, ...]:
        return ("scripts/up", "--dir", str(self.data), "-c", str(self.routes), *arguments)

    def up(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=150,
            check=False,
        )

    def programs(self) -> dict[str, dict[str, Any]]:
        """What `--status --json` says of each program."""
        told = json.loads(self.up("--status", "--json").stdout)
        return {each["name"]: each for each in told["programs"]}

    def send_to_candidate(self, route: str) -> None:
        """Edit strangler.yaml as a step would."""
        routes = self.routes.read_text()
        at = routes.index(f"- name: {route}\n")
        moved = routes[at:].replace("serve: control", "serve: candidate", 1)
        self.routes.write_text(routes[:at] + moved)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.ports.proxy}{path}"
