"""What each part is given is what it reads: all that it needs, and nothing that it would ignore."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from extracted.chassis.serving import gunicorn_settings
from monolith.settings import Settings as Monolith
from scripts.processes import ROOT
from strangler_proxy.handover.databases.url import open_database
from tests.composition import made_secrets, networks, services
from tests.settings import SERVICES, WORKERS, Noting

WEB = {"monolith": Monolith.from_environ, **SERVICES}
SCHEMAS = {
    "monolith-schema": "monolith",
    "auth-schema": "auth",
    "posts-schema": "posts",
    "payment-schema": "payment",
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return services(made_secrets(tmp_path_factory.mktemp("secrets")))


@pytest.mark.parametrize("name", WEB)
def test_a_service_starts_with_what_it_is_given(name: str, parts: dict[str, Any]) -> None:
    given = Noting(parts[name]["environment"])
    WEB[name](given)
    served = gunicorn_settings(given, name, default_bind="127.0.0.1:1")
    assert set(given) <= given.asked
    assert served["bind"].startswith("0.0.0.0:")
    assert ("when_ready" in served) == (name != "monolith")  # the monolith is in no registry


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_starts_with_what_it_is_given(name: str, parts: dict[str, Any]) -> None:
    given = Noting(parts[name]["environment"])
    WORKERS[name](given)
    assert set(given) <= given.asked


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_made_where_its_service_looks(name: str, parts: dict[str, Any]) -> None:
    where = parts[SCHEMAS[name]]["environment"]["DATABASE_URL"]
    assert parts[name]["environment"] == {"DATABASE_URL": where}


def test_a_service_is_found_where_the_proxy_and_the_registry_look(parts: dict[str, Any]) -> None:
    upstreams = YAML(typ="safe").load(ROOT / "strangler.yaml")["upstreams"]
    for name in {*upstreams, *WEB}:
        given = parts[name]["environment"]
        port = given["BIND"].rpartition(":")[2]
        assert given.get("ADVERTISE", f"{name}:{port}") == f"{name}:{port}"
        if name in upstreams:
            assert urlsplit(upstreams[name]["url"]).port == int(port)


def test_addresses_name_parts_that_can_be_reached(parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        for variable, value in part.get("environment", {}).items():
            host = urlsplit(value).hostname if "://" in value else None
            if host is not None:
                assert networks(part) & networks(parts[host]), (name, variable)


def test_the_seams_of_the_monolith_are_switched_in_the_file_that_steps_write(
    parts: dict[str, Any],
) -> None:
    file = parts["monolith"]["environment"]["SEAMS_FILE"]
    assert parts["steps"]["environment"]["SEAMS_FILE"] == file
    assert "seams:/seams:ro" in parts["monolith"]["volumes"]
    assert "seams:/seams" in parts["steps"]["volumes"]


@pytest.mark.parametrize(
    ("variable", "database"),
    [
        ("DATABASE_URL", "monolith"),
        ("AUTH_DATABASE_URL", "auth"),
        ("POSTS_DATABASE_URL", "posts"),
        ("PAYMENT_DATABASE_URL", "payment"),
    ],
)
def test_the_mover_knows_every_database(
    variable: str, database: str, parts: dict[str, Any]
) -> None:
    moved = parts["steps"]["environment"][variable]
    served = parts[database]["environment"]["DATABASE_URL"]
    assert open_database(moved)
    assert urlsplit(moved).hostname == urlsplit(served).hostname
    assert urlsplit(moved).path == urlsplit(served).path


def test_only_the_mover_may_write_past_a_shut_collection(parts: dict[str, Any]) -> None:
    users = {
        name: urlsplit(parts[name]["environment"][variable]).username
        for name, variable in (
            ("posts", "DATABASE_URL"),
            ("posts-consumer", "DATABASE_URL"),
            ("steps", "POSTS_DATABASE_URL"),
        )
    }
    assert users == {"posts": "posts", "posts-consumer": "posts", "steps": "mover"}
