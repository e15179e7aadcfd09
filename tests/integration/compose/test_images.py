"""What the Dockerfiles copy and install is enough: each part starts from its own files alone.

An image is laid out in an empty folder and runs on this Python, with the environment that it is
given in docker-compose.yml, and without the packages that its pip line does not install. Not seen
here: what the base image has or lacks, and what is loaded only when a request comes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from extracted.auth import keyfolder
from extracted.chassis.clock import utc_now
from scripts.processes import ROOT
from strangler_proxy.config import load
from tests.composition import DEPLOY, Dockerfile, made_secrets, services

WITHOUT = """
import sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *rest):
        hidden = name.partition(".")[0] in {absent!r}
        return None if hidden else self.finder.find_spec(name, *rest)

sys.meta_path[:] = map(Hiding, sys.meta_path)
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return services(made_secrets(tmp_path_factory.mktemp("secrets")))


@pytest.mark.parametrize(
    ("part", "started"),
    [
        ("monolith", "from monolith.app import create_app; create_app()"),
        ("image", "from extracted.image.app import create_app; create_app()"),
        ("auth", "from extracted.auth.app import create_app; create_app()"),
        ("posts", "from extracted.posts.app import create_app; create_app()"),
        ("payment", "from extracted.payment.app import create_app; create_app()"),
        ("posts-consumer", "import extracted.posts.consumer, deploy.consumes"),
        ("payment-reconciler", "import extracted.payment.reconciler"),
        ("email-worker", "import extracted.email_worker.__main__, pika"),
        ("stripe-double", "import serve"),
    ],
)
def test_a_part_starts_from_its_image(
    part: str, started: str, parts: dict[str, Any], tmp_path: Path
) -> None:
    image = _image(parts, part, tmp_path)
    program = WITHOUT.format(absent=_absent(image)) + started
    done = _run(tmp_path, [sys.executable, "-c", program], _given(parts[part], tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("job", ["monolith-schema", "auth-schema", "payment-schema"])
def test_a_schema_is_made_from_its_image(job: str, parts: dict[str, Any], tmp_path: Path) -> None:
    image = _image(parts, job, tmp_path)
    _python, _m, module, *arguments = parts[job]["command"]
    started = (
        f"import runpy; sys.argv[1:] = {arguments}; runpy.run_module('{module}', None, '__main__')"
    )
    program = WITHOUT.format(absent=_absent(image)) + started
    where = {"DATABASE_URL": f"sqlite:///{tmp_path}/made.db"}
    done = _run(tmp_path, [sys.executable, "-c", program], where)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made.db").stat().st_size > 0


def test_the_proxy_serves_the_same_routes_at_the_names_of_the_composition(tmp_path: Path) -> None:
    file = tmp_path / "strangler.yaml"
    edit = ["sed", "-f", DEPLOY / "proxy" / "addresses.sed", ROOT / "strangler.yaml"]
    file.write_bytes(subprocess.run(edit, capture_output=True, check=True, timeout=10).stdout)
    here, there = load(ROOT / "strangler.yaml"), load(file)
    assert there.routes == here.routes
    assert {str(there.address), str(there.admin)} == {"0.0.0.0:8000", "0.0.0.0:8001"}
    for name, upstream in there.upstreams.items():
        assert [origin.address.host for origin in upstream.origins] == [name]
    assert "127.0.0.1:" not in file.read_text("utf-8").partition("upstreams:")[2]


def _image(parts: Mapping[str, Any], part: str, folder: Path) -> Dockerfile:
    image = Dockerfile(ROOT / parts[part]["build"]["dockerfile"])
    image.lay_out(folder)
    return image


def _given(part: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """What the part is given; folders of volumes are in this one."""
    given = dict(part.get("environment", {}))
    for name, value in given.items():
        if value.startswith("/"):
            given[name] = f"{folder}{value}"
    if "SIGNING_KEYS" in given:
        keyfolder.make(Path(given["SIGNING_KEYS"]), utc_now())
    return given


def _run(
    folder: Path, command: list[str], given: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), **given}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


def _absent(image: Dockerfile) -> set[str]:
    """The modules of this Python that the image has not."""
    installed = _installed(image)
    return {
        module
        for module, owners in _owners().items()
        if not installed & {canonicalize_name(owner) for owner in owners}
    }


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()


def _installed(image: Dockerfile) -> set[str]:
    """What its pip line brings, and what that needs in turn."""
    names: set[str] = set()
    asked = (image.path.parent / "requirements.txt").read_text("utf-8").splitlines()
    waiting = [Requirement(line) for line in asked]
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in names:
            continue
        names |= {str(requirement), canonicalize_name(requirement.name)}
        waiting += _needs(requirement)
    return names


def _needs(requirement: Requirement) -> Iterator[Requirement]:
    for text in distribution(requirement.name).requires or ():
        each = Requirement(text)
        extras = ["", *requirement.extras]
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras):
            yield each
