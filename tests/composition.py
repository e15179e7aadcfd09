"""docker-compose.yml and the Dockerfiles as data, read without Docker."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from scripts.processes import ROOT
from scripts.stack import read_environment

FILE = ROOT / "docker-compose.yml"
DEPLOY = ROOT / "deploy"
VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:-|:\?)([^}]*))?\})")

Service = dict[str, Any]


def made_secrets(folder: Path) -> dict[str, str]:
    """A new .env, as deploy/env makes it."""
    return read_environment(made_file(folder))


def made_file(folder: Path) -> Path:
    """The file of a new .env."""
    path = folder / "env"
    subprocess.run([DEPLOY / "env", path], check=True, capture_output=True, timeout=10)
    return path


def services(values: Mapping[str, str]) -> dict[str, Service]:
    """Every service, its variables filled in from these values. KeyError for one that has none."""
    filled: dict[str, Service] = _filled(_file()["services"], values)
    return filled


def networks(service: Service) -> set[str]:
    """The networks of a service."""
    return (
        set()
        if service.get("network_mode") == "none"
        else set(service.get("networks", ["default"]))
    )


def required() -> set[str]:
    """The variables that have to have a value."""
    return {name for name, kind, _ in VARIABLE.findall(FILE.read_text("utf-8")) if kind == ":?"}


@cache
def _file() -> dict[str, Any]:
    return YAML(typ="safe").load(FILE)


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    return (
        VARIABLE.sub(lambda found: _value(found, values), value)
        if isinstance(value, str)
        else value
    )


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    name, kind, rest = found.groups()
    if name is None:
        return "$"
    default = {":-": rest, ":?": None}.get(kind, "")
    value = values.get(name) or default
    if value is None:
        raise KeyError(f"{name} {rest}")
    return value


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile's instructions, one a line, or those of its last stage alone."""

    path: Path
    lines: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Dockerfile:
        """All stages."""
        joined = path.read_text("utf-8").replace("\\\n", " ")
        given = (line for line in joined.splitlines() if line and not line.startswith("#"))
        return cls(path, tuple(given))

    def last_stage(self) -> Dockerfile:
        """What the image itself is made of."""
        begins = [number for number, line in enumerate(self.lines) if line.startswith("FROM ")]
        return Dockerfile(self.path, self.lines[begins[-1] :])

    def words(self, instruction: str) -> list[list[str]]:
        """The words after each instruction of this name."""
        return [line.split()[1:] for line in self.lines if line.startswith(f"{instruction} ")]

    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        return dict(word.split("=", 1) for words in self.words("ENV") for word in words)

    def copies(self) -> Iterator[tuple[list[str], str]]:
        """What is copied from the checkout: sources and destination."""
        for words in self.words("COPY"):
            if not any(word.startswith("--from=") for word in words):
                *sources, destination = (word for word in words if not word.startswith("--"))
                yield sources, destination

    def lay_out(self, folder: Path) -> None:
        """Copy what the image has from the checkout into the folder, which is its /app."""
        for sources, destination in self.last_stage().copies():
            for source in sources:
                _copy(ROOT / source, folder / destination, into=destination.endswith("/"))


def _copy(source: Path, destination: Path, *, into: bool) -> None:
    if source.is_dir():
        unseen = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(source, destination, ignore=unseen, dirs_exist_ok=True)
        return
    target = destination / source.name if into else destination
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


DOCKERFILES = [Dockerfile.read(path) for path in sorted(DEPLOY.glob("*/Dockerfile"))]
