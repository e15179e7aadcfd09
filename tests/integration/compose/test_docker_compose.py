"""What Docker Compose itself says of docker-compose.yml. It needs the program, and no daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scripts.stack import read_environment
from tests.composition import FILE, made_file, networks, services

pytestmark = pytest.mark.services
TIMEOUT_S = 60


def compose() -> list[str]:
    """The program, as Debian names it or as Docker does."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    asked = ["docker", "compose", "version"]
    if shutil.which("docker") and subprocess.run(asked, capture_output=True).returncode == 0:
        return asked[:2]
    told = "no Docker Compose; apt-get install docker-compose"
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, but there is {told}")
    pytest.skip(f"there is {told}")


def resolved(values: Path) -> subprocess.CompletedProcess[str]:
    """`config` with the variables of this file, and none of this process."""
    command = [*compose(), "--file", FILE, "--env-file", values, "config"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )


def test_it_reads_the_file_as_the_other_tests_do(tmp_path: Path) -> None:
    file = made_file(tmp_path)
    done = resolved(file)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = YAML(typ="safe").load(done.stdout)["services"]
    read = services(read_environment(file))
    assert set(told) == set(read)
    for name, part in read.items():
        for key in ("environment", "command", "entrypoint"):
            assert _written(told[name].get(key)) == _written(part.get(key)), (name, key)
        assert _check(told[name]) == _check(part), name
        assert set(told[name].get("networks") or {"default"}) >= networks(part), name
        assert len(told[name].get("ports", ())) == len(part.get("ports", ())), name


def test_it_tells_which_secret_is_missing_and_what_to_do(tmp_path: Path) -> None:
    file = made_file(tmp_path)
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("JWT_SECRET=")), "utf-8")
    done = resolved(file)
    assert done.returncode != 0
    assert "JWT_SECRET" in done.stderr
    assert "deploy/env makes .env" in done.stderr


def _check(part: dict[str, Any]) -> Any:
    return _written(part.get("healthcheck", {}).get("test"))


def _written(value: Any) -> Any:
    """A value without the second dollar by which `config` writes one that is meant."""
    if isinstance(value, dict):
        return {key: _written(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_written(each) for each in value]
    return value.replace("$$", "$") if isinstance(value, str) else value
