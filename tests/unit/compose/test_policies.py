"""What docker-compose.yml promises of every service, read without Docker."""

from pathlib import Path
from typing import Any

import pytest

from scripts.processes import ROOT
from tests.composition import made_secrets, networks, services

JOBS = {
    "monolith-schema",
    "auth-schema",
    "auth-keys",
    "posts-db-set",
    "posts-schema",
    "payment-schema",
    "s3-bucket",
}
BUILT = {
    "proxy",
    "steps",
    "monolith",
    "image",
    "auth",
    "posts",
    "posts-consumer",
    "payment",
    "payment-reconciler",
    "email-worker",
    "stripe-double",
}
BOUGHT = {
    "monolith-db",
    "auth-db",
    "posts-db",
    "payment-db",
    "rabbitmq",
    "consul",
    "s3",
    "mailpit",
    "prometheus",
}
FORBIDDEN = {"privileged", "cap_add", "devices", "pid", "ipc", "userns_mode"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return services(made_secrets(tmp_path_factory.mktemp("secrets")))


def test_every_part_is_there(parts: dict[str, Any]) -> None:
    assert set(parts) == JOBS | BUILT | BOUGHT


def test_what_runs_on_has_a_health_check_and_is_started_again(parts: dict[str, Any]) -> None:
    for name in BUILT | BOUGHT:
        check = parts[name]["healthcheck"]
        assert {"test", "interval", "timeout", "retries", "start_period"} == set(check), name
        assert parts[name]["restart"] == "unless-stopped", name


def test_a_job_runs_once(parts: dict[str, Any]) -> None:
    assert {name for name, part in parts.items() if part["restart"] == "no"} == JOBS


def test_whoever_waits_waits_for_health_or_for_the_end_of_a_job(parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        for other, wait in part.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in JOBS else "service_healthy"
            assert wait == {"condition": wanted}, (name, other)


def test_nothing_is_reached_from_other_machines(parts: dict[str, Any]) -> None:
    ports = [port for part in parts.values() for port in part.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") and port.count(":") == 2 for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_nothing_has_more_rights_than_it_needs(parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        assert not FORBIDDEN & set(part), name
        assert part.get("network_mode") in (None, "none"), name
        assert part["security_opt"] == ["no-new-privileges:true"], name


def test_what_is_built_here_cannot_change_its_own_files(parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        if "build" in part:
            assert part["read_only"], name
            assert part["cap_drop"] == ["ALL"], name
            assert "user" not in part, name  # the Dockerfile's


def test_memory_and_logs_have_bounds(parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        assert part["mem_limit"], name
        assert set(part["logging"]["options"]) == {"max-size", "max-file"}, name


def test_an_image_that_is_not_built_here_has_a_version(parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        if "build" not in part:
            version = part["image"].rpartition(":")[2]
            assert version != "latest", name
            assert any(each.isdigit() for each in version), name


def test_a_database_is_reached_by_its_own_service_and_the_mover_alone(
    parts: dict[str, Any],
) -> None:
    for owner in ("monolith", "auth", "posts", "payment"):
        inside = {name for name, part in parts.items() if f"{owner}-data" in networks(part)}
        others = {name for name in inside if not name.startswith(owner)}
        assert others == {"steps"}
        assert networks(parts[f"{owner}-db"]) == {f"{owner}-data"}


def test_parts_that_need_each_other_share_a_network(parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        for other in part.get("depends_on", {}):
            if other not in JOBS:
                assert networks(part) & networks(parts[other]), (name, other)


def test_mounted_files_are_in_the_checkout(parts: dict[str, Any]) -> None:
    mounts = [mount for part in parts.values() for mount in part.get("volumes", ())]
    files = [mount.split(":")[0] for mount in mounts if str(mount).startswith(".")]
    assert files
    assert all((ROOT / file).is_file() for file in files)


def test_every_build_has_its_dockerfile(parts: dict[str, Any]) -> None:
    builds = [part["build"] for part in parts.values() if "build" in part]
    assert all(build["context"] == "." for build in builds)
    used = {ROOT / build["dockerfile"] for build in builds}
    assert used == set(Path(ROOT / "deploy").glob("*/Dockerfile"))
