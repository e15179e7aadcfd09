"""What the Dockerfiles copy and install is enough: each part starts from its own files alone.

An image is laid out in an empty folder and runs on this Python, with the environment that it is
given in docker-compose.yml, and without the packages that its pip line does not install. Not seen
here: what the base image has or lacks, and what is loaded only when a request comes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.pin import asked, brought
from extracted.auth import keyfolder
from extracted.chassis.clock import utc_now
from extracted.chassis.schema import upgrade
from scripts.processes import ROOT
from strangler_proxy.config import load
from strangler_proxy.handover.move import load_moves
from tests.blog import NOWHERE
from tests.composition import DEPLOY, Dockerfile, made_secrets, services

STEPS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("scripts/step_*.py"))
WITHOUT = """
import runpy, sys

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
    done = _run(image, tmp_path, started, _given(parts[part], tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("job", ["monolith-schema", "auth-schema", "payment-schema"])
def test_a_schema_is_made_from_its_image(job: str, parts: dict[str, Any], tmp_path: Path) -> None:
    image = _image(parts, job, tmp_path)
    _python, _m, module, *arguments = parts[job]["command"]
    started = f"sys.argv[1:] = {arguments}; runpy.run_module({module!r}, None, '__main__')"
    done = _run(image, tmp_path, started, {"DATABASE_URL": f"sqlite:///{tmp_path}/made.db"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made.db").stat().st_size > 0


@pytest.mark.parametrize("script", STEPS)
def test_a_step_is_planned_where_steps_are_run(
    script: str, parts: dict[str, Any], tmp_path: Path
) -> None:
    image = _image(parts, "steps", tmp_path)
    arguments = ["-c", str(_site(tmp_path) / "strangler.yaml")]
    # Python looks in the folder of a script, and not in the current one.
    started = f"sys.path[0] = 'scripts'; sys.argv[1:] = {arguments}; "
    started += f"runpy.run_path({script!r}, None, '__main__')"
    done = _run(image, tmp_path, started, _given(parts["steps"], tmp_path))
    assert done.returncode == 0, done.stderr
    assert "nothing was changed" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("extracted.chassis.schema", ["upgrade", "auth"]),
        ("extracted.chassis.schema", ["upgrade", "payment"]),
        ("extracted.auth.keys", ["new", "--dir", "keys"]),
    ],
)
def test_the_commands_that_steps_begin_with_are_there(
    module: str, arguments: list[str], parts: dict[str, Any], tmp_path: Path
) -> None:
    image = _image(parts, "steps", tmp_path)
    started = f"sys.argv[1:] = {arguments}; runpy.run_module({module!r}, None, '__main__')"
    done = _run(image, tmp_path, started, {"DATABASE_URL": f"sqlite:///{tmp_path}/made.db"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("extracted.chassis.relay", ["--forget"]),
        ("extracted.chassis.events", ["empty", "--queue", "posts", "--yes"]),
    ],
)
def test_the_commands_that_the_undo_of_auth_ends_with_are_there(
    module: str, arguments: list[str], parts: dict[str, Any], tmp_path: Path
) -> None:
    image = _image(parts, "steps", tmp_path)
    started = f"sys.argv[1:] = {arguments}; runpy.run_module({module!r}, None, '__main__')"
    upgrade(f"sqlite:///{tmp_path}/auth.db", "auth")
    given = {"DATABASE_URL": f"sqlite:///{tmp_path}/auth.db", "BROKER_URL": f"amqp://{NOWHERE}/"}
    done = _run(image, tmp_path, started, given)
    if module == "extracted.chassis.relay":
        assert done.returncode == 0, done.stderr
    else:
        assert f"RabbitMQ at {NOWHERE} cannot be used" in done.stderr


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("extracted.posts.mongodb", ["--for-a-move"]),
        ("extracted.posts.mongodb.fill_names", ["--auth", "http://proxy:8000", "--every"]),
        ("extracted.posts.mongodb.backlog", ["--json"]),
    ],
)
def test_the_commands_about_mongodb_are_there_and_tell_when_it_is_not(
    module: str, arguments: list[str], parts: dict[str, Any], tmp_path: Path
) -> None:
    image = _image(parts, "steps", tmp_path)
    started = f"sys.argv[1:] = {arguments}; runpy.run_module({module!r}, None, '__main__')"
    url = f"mongodb://{NOWHERE}/posts?timeoutMS=200"
    done = _run(image, tmp_path, started, {"DATABASE_URL": url})
    assert done.returncode == 1
    assert f"no MongoDB can be used at {NOWHERE}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_proxy_serves_the_same_routes_at_the_names_of_the_composition(tmp_path: Path) -> None:
    file = _site(tmp_path) / "strangler.yaml"
    here, there = load(ROOT / "strangler.yaml"), load(file)
    assert there.routes == here.routes
    assert {str(there.address), str(there.admin)} == {"proxy:8000", "0.0.0.0:8001"}
    for name, upstream in there.upstreams.items():
        assert [origin.address.host for origin in upstream.origins] == [name]
    assert "127.0.0.1:" not in file.read_text("utf-8").partition("upstreams:")[2]


def test_the_same_moves_are_made_with_posts_as_whole_documents(
    parts: dict[str, Any], tmp_path: Path
) -> None:
    folder = _site(tmp_path)
    routes = [route.name for route in load(folder / "strangler.yaml").routes]
    moves = load_moves(folder / "moves.yaml", routes).moves
    assert [move.name for move in moves] == ["auth", "posts", "payment"]
    for here, there in zip(load_moves(ROOT / "migrations/moves.yaml").moves, moves, strict=True):
        assert {there.source_env, there.target_env} <= set(parts["steps"]["environment"])
        assert there.routes == here.routes
        assert [table.table for table in there.tables] == [table.table for table in here.tables]
        wanted = [None, None] if there.name == "posts" else [each.columns for each in here.tables]
        assert [table.columns for table in there.tables] == wanted
        account = urlsplit(parts[there.name]["environment"]["DATABASE_URL"]).username
        assert f"{account}@*" in there.writers.candidate
        assert there.writers.control == ("blog@*",)


def _site(folder: Path) -> Path:
    """The folder /site, as the proxy's image has it."""
    site = folder / "site"
    site.mkdir()
    for edit, source in (("addresses", "strangler.yaml"), ("moves", "migrations/moves.yaml")):
        command = ["sed", "-f", DEPLOY / "proxy" / f"{edit}.sed", ROOT / source]
        done = subprocess.run(command, capture_output=True, check=True, timeout=10)
        (site / Path(source).name).write_bytes(done.stdout)
    return site


def _image(parts: Mapping[str, Any], part: str, folder: Path) -> Dockerfile:
    image = Dockerfile.read(ROOT / parts[part]["build"]["dockerfile"])
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
    image: Dockerfile, folder: Path, program: str, given: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(absent=_absent(image)) + program],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **_set(image, folder), **given},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _set(image: Dockerfile, folder: Path) -> dict[str, str]:
    """Where the image has Python look for modules, in this folder."""
    path = image.last_stage().environment().get("PYTHONPATH")
    return {"PYTHONPATH": path.replace("/app", str(folder))} if path else {}


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
    """What its pip line brings."""
    requirements = asked(image.path.parent / "requirements.txt")
    kit = re.search(r" '\.(\[.*\])'", " ".join(image.lines))
    if kit:
        requirements.append(Requirement(f"strangler-proxy{kit[1]}"))
    return set(brought(requirements))
