from pathlib import Path

import pytest

from scripts.benchmarks.peers import PEERS, Peer, Site
from scripts.benchmarks.peers.peer import version_in
from strangler_proxy.config import load

SITE_PORTS = (18001, 18002, 18003)


def test_peers_have_names_of_their_own() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_told_all_three_addresses(peer: Peer, tmp_path: Path) -> None:
    launch = peer.launch("the-proxy", Site(*SITE_PORTS, tmp_path))
    told = " ".join([*launch.argv, *launch.env.values()])
    told += " ".join(file.read_text() for file in tmp_path.iterdir())
    assert [port for port in SITE_PORTS if str(port) not in told] == []


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_says_how_it_is_installed(peer: Peer) -> None:
    assert peer.install


def test_the_proxy_is_measured_with_twelve_routes_and_the_post_matched_by_a_number(
    tmp_path: Path,
) -> None:
    strangler = next(peer for peer in PEERS if peer.name == "strangler")
    strangler.launch("strangler", Site(*SITE_PORTS, tmp_path))
    config = load(tmp_path / "strangler.yaml")
    assert len(config.routes) == 12
    assert "/posts/<int:post_id>" in {route.rule for route in config.routes}


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("nginx version: nginx/1.22.1\n", "1.22.1"),
        ("HAProxy version 2.6.12-1+deb12u4 2026/10/17", "2.6.12-1+deb12u4"),
        ("envoy  version: 9e5580933739775e/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"),
        ("v2.11.7 h1:yj0Y4fYZGPkSvibBJ1sTWE33xC0", "2.11.7"),
        ("Version:      3.7.15\nGo version:   go1.26.9\n", "3.7.15"),
        ("nothing of the kind", "unknown"),
    ],
)
def test_a_version_is_found_in_what_a_peer_prints(printed: str, version: str) -> None:
    assert version_in(printed) == version
