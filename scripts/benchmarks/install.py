"""Brings the peers: Debian's by apt-get, PyPI's into .venv-bench, which is theirs alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.benchmarks.peers.peer import PEERS_VENV

APT_PACKAGES = ("nginx-light", "haproxy", "wrk")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_LIMIT_S = 900


def install() -> int:
    """Install what can be; 0 when all of it is there, else 3, each fault being named."""
    outcomes = [_install_packages(), _install_wheels()]
    return 0 if all(outcomes) else 3


def _install_packages() -> bool:
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *APT_PACKAGES]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if all(shutil.which(command, path=path) for command in ("nginx", "haproxy", "wrk")):
        return True
    if shutil.which("apt-get") is None:
        print(f"bench: no apt-get here; install by other means: {', '.join(APT_PACKAGES)}")
        return False
    if os.geteuid() != 0:
        print(f"bench: only root can install packages; run: sudo {' '.join(command)}")
        return False
    return _run(command)


def _install_wheels() -> bool:
    python = PEERS_VENV / "bin" / "python"
    if not python.exists() and not _run([sys.executable, "-m", "venv", str(PEERS_VENV)]):
        return False
    (PEERS_VENV / ".gitignore").write_text("*\n")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    return _run([*pip, "--requirement", str(REQUIREMENTS)])


def _run(command: list[str]) -> bool:
    print("bench:", " ".join(command), flush=True)
    try:
        ended = subprocess.run(command, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as fault:
        print(f"bench: {fault}")
        return False
    return ended.returncode == 0
