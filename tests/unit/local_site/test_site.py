"""A site's place: what is wrong with it is told before anything is written or started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts import stack
from scripts.local_site.__main__ import main
from scripts.local_site.site import Site, Started, UnusableError
from scripts.processes import ROOT
from strangler_proxy.config import load
from strangler_proxy.steps.parts.launch import start_time

PORTS = stack.Ports(1, 2, 3, 4, 5, 6, 7, 8, 9)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    routes = tmp_path / "strangler.yaml"
    stack.write_routes(ROOT / "strangler.yaml", routes, PORTS)
    return Site(tmp_path / "var", routes, load(routes))


def test_ports_are_those_of_the_file_and_of_what_is_kept_before_what_is_given(site: Site) -> None:
    stack.write_environment(site.env_file, {"MAIL_SINK_PORT": "2500"})
    ports = site.ports({"MAIL_SINK_PORT": "1", "OBJECT_STORE_PORT": "9100"})
    assert (ports.proxy, ports.auth, ports.mail_sink, ports.object_store) == (1, 3, 2500, 9100)
    assert ports.stripe_double == stack.Ports().stripe_double


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "\u0661"])
def test_a_port_that_is_none_is_told(site: Site, port: str) -> None:
    with pytest.raises(UnusableError, match="STRIPE_DOUBLE_PORT is"):
        site.settle({"STRIPE_DOUBLE_PORT": port})


def test_an_upstream_that_the_blog_needs_is_missed(site: Site) -> None:
    text = site.routes.read_text()
    site.routes.write_text(text[: text.index("\nroutes:")].replace("  payment:", "  invoices:"))
    lacking = Site(site.folder, site.routes, load(site.routes))
    with pytest.raises(UnusableError, match="needs upstreams: payment"):
        lacking.settle({})


def test_a_stand_in_given_another_port_is_led_to(site: Site) -> None:
    values = site.settle({"OBJECT_STORE_PORT": "9100"}).values
    assert values["S3_ENDPOINT_URL"] == "http://127.0.0.1:9100"
    assert values["PROXY_URL"] == "http://127.0.0.1:1"
    assert not site.env_file.exists()


def test_what_was_started_is_known_by_pid_and_start_time(site: Site) -> None:
    site.folder.mkdir()
    mine = Started("proxy", os.getpid(), start_time(os.getpid()), 1)
    anothers = Started("monolith", os.getpid(), "1", 2)
    site.note([mine, anothers])
    assert [(each.name, each.runs) for each in site.started()] == [
        ("proxy", True),
        ("monolith", False),
    ]
    site.note([])
    assert site.started() == []


@pytest.mark.parametrize("content", ["", "{}", '[{"name": "proxy"}]', "[1]", "\0\0"])
@pytest.mark.parametrize("asked", ["--status", "--down"])
def test_a_damaged_note_of_what_was_started_is_named_with_what_to_do(
    site: Site, content: str, asked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.folder.mkdir()
    (site.folder / "processes.json").write_text(content)
    assert main([asked, "--dir", str(site.folder), "--config", str(site.routes)]) == 2
    told = capsys.readouterr().out
    assert f"up: {site.folder}/processes.json is damaged" in told
    assert "delete it" in told


def test_a_site_is_brought_up_by_one_at_a_time(site: Site) -> None:
    site.folder.mkdir()
    with site.held(), pytest.raises(UnusableError, match="another scripts/up"), site.held():
        pytest.fail("two have it")
    with site.held():
        pass


def test_json_is_for_status_alone() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--json"])
    assert caught.value.code == 2
