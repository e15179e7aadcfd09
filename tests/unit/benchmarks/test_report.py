"""What a reader must be told of a run in which not everything went well."""

import io
import json
from dataclasses import replace

from rich.console import Console

from scripts.benchmarks.figures import Round
from scripts.benchmarks.machine import Machine
from scripts.benchmarks.markdown import render
from scripts.benchmarks.measure import Idle, LongUpload
from scripts.benchmarks.peers import PEERS
from scripts.benchmarks.report import show
from scripts.benchmarks.result import PeerResult, Plan, Result
from scripts.benchmarks.upstream import WORKLOADS
from tests.unit.benchmarks.rounds import ROUND


def measured(name: str, rounds: list[Round]) -> PeerResult:
    return PeerResult(
        peer=next(peer for peer in PEERS if peer.name == name),
        version="1.0",
        rounds={workload.name: rounds for workload in WORKLOADS},
        idle=Idle(connections=5000, alive=5000, before_bytes=9_000_000, growth_bytes=5_000_000),
        upload=LongUpload(1 << 30, 1.0, 0.5, peak_bytes=9_000_000, peak_rss_bytes=9_500_000),
    )


def result(*peers: PeerResult) -> Result:
    machine = Machine("A processor", 2, 16.0, "Linux 6", "3.11.0", load_before=0.1)
    return Result("2026-01-01T00:00:00Z", Plan(), machine, 1, [0], list(peers))


def shown(run: Result) -> str:
    output = io.StringIO()
    show(run, Console(file=output, width=160))
    return output.getvalue()


def test_a_missing_peer_is_named_with_the_command_that_brings_it() -> None:
    envoy = PeerResult(next(peer for peer in PEERS if peer.name == "envoy"), absent="not installed")
    text = shown(result(measured("strangler", [ROUND]), envoy))
    assert "missing: Envoy, not installed" in text
    assert "scripts/bench proxy --install" in text


def test_a_peer_that_failed_says_why_and_counts_as_a_failure() -> None:
    failed = measured("strangler", [ROUND])
    failed.faults.append("upload of 1 GiB: 413 too large [limit]")
    assert "failed: strangler, upload of 1 GiB: 413 too large [limit]" in shown(result(failed))
    assert failed.failures() == 1


def test_others_at_work_on_the_proxys_core_are_reported() -> None:
    noisy = measured("strangler", [ROUND, replace(ROUND, core_foreign=0.4)])
    assert "up to 40%" in shown(result(noisy))
    assert "noise" not in shown(result(measured("strangler", [ROUND])))


def test_cpu_is_compared_with_the_proxy_and_with_haproxy() -> None:
    slow = measured("strangler", [replace(ROUND, cpu_us_per_request=30.0)])
    text = shown(result(slow, measured("haproxy", [ROUND])))
    row = next(line for line in text.splitlines() if line.startswith("│ strangler"))
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["30.0 (30.0-30.0)", "1.00", "1.50"]


def test_the_markdown_names_a_missing_peer_in_its_row_and_keeps_every_row_as_wide() -> None:
    envoy = PeerResult(next(peer for peer in PEERS if peer.name == "envoy"), absent="not installed")
    text = render(result(measured("strangler", [ROUND]), measured("haproxy", [ROUND]), envoy))
    assert "| Envoy | missing: not installed | - |" in text
    for table in text.split("\n\n")[1:]:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_json_keeps_every_raw_round_and_the_verdicts() -> None:
    rounds = [ROUND, replace(ROUND, requests=900)]
    content = json.loads(json.dumps(result(measured("strangler", rounds)).as_json()))
    kept = content["peers"]["strangler"]["workloads"]["small"]["rounds"]
    assert [one["requests"] for one in kept] == [1000, 900]
    assert content["targets"][0]["verdict"] == "not asked"
    assert content["machine"]["cpu"] == "A processor"
