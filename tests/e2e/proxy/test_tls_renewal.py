"""A certificate is renewed file by file, while everybody is served and anything may reload."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from strangler_proxy.config import ConfigError
from strangler_proxy.running import flip
from tests.e2e.proxy.conftest import Bench
from tests.wire_tools.certificates import Authority
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until


def test_half_of_a_renewed_certificate_takes_no_client_away(bench: Bench, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.certificate("localhost")
    text = f"{bench.text()}tls: {{certificate: {certificate}, key: {key}}}\n"
    served = bench.serve(text=text)
    pids = {worker.pid for worker in served.status().workers}
    with Client(served.port, tls=authority.trusting()) as early:
        assert early.ask("/").status == 200
        good_key = key.read_bytes()
        authority.certificate("localhost")
        new_key = key.read_bytes()
        key.write_bytes(good_key)  # the new one follows a moment later
        with pytest.raises(ConfigError, match="tls: files cannot be used"):
            served.running.reload()
        with pytest.raises(ConfigError, match="tls: files cannot be used"):
            flip(served.path, ["moving"], "candidate")
        assert served.path.read_text() == text
        assert {worker.pid for worker in served.status().workers} == pids
        assert early.ask("/").status == 200
    victim = min(pids)
    os.kill(victim, signal.SIGKILL)
    until(
        lambda: {worker.pid for worker in served.status().workers} - pids,
        "its successor serves by the files as they were",
    )
    assert {worker.generation for worker in served.status().workers} == {1}
    for _ in range(12):
        with Client(served.port, tls=authority.trusting()) as client:
            assert client.ask("/").status == 200
    key.write_bytes(new_key)
    assert served.running.reload() == 2
    with Client(served.port, tls=authority.trusting()) as client:
        assert client.ask("/").status == 200
