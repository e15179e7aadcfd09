from dataclasses import replace

import pytest

from scripts.benchmarks.targets import Evidence, Judgement, exit_code, judge

GOOD = Evidence(
    asked=frozenset({"strangler", "nginx", "haproxy", "envoy", "traefik", "caddy", "fastapi"}),
    cpu_us={
        "strangler": 30.0,
        "nginx": 17.0,
        "haproxy": 18.0,
        "envoy": 50.0,
        "traefik": 60.0,
        "caddy": 90.0,
        "fastapi": 2000.0,
    },
    upload_peak_bytes=80_000_000,
    errors=0,
)


def with_cpu(**cpu_us: float) -> Evidence:
    return replace(GOOD, cpu_us={**GOOD.cpu_us, **cpu_us})


def without(name: str) -> Evidence:
    return replace(GOOD, cpu_us={k: v for k, v in GOOD.cpu_us.items() if k != name})


def verdicts(evidence: Evidence) -> dict[str, str]:
    return {judgement.target: judgement.verdict for judgement in judge(evidence)}


def test_all_met_ends_with_0() -> None:
    assert set(verdicts(GOOD).values()) == {"met"}
    assert exit_code(judge(GOOD)) == 0


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (with_cpu(envoy=30.0), "below Envoy's"),  # equal is not below
        (with_cpu(traefik=29.0), "below Traefik's"),
        (with_cpu(caddy=29.0), "below Caddy's"),
        (with_cpu(haproxy=16.6), "1.8 times HAProxy's"),
        (with_cpu(fastapi=1199.0), "40 times below FastAPI"),
        (replace(GOOD, upload_peak_bytes=100_000_000), "memory under 100 MB"),
        (replace(GOOD, errors=1), "not one failed request"),
    ],
)
def test_one_missed_target_is_named_and_ends_with_1(evidence: Evidence, words: str) -> None:
    missed = [target for target, verdict in verdicts(evidence).items() if verdict == "missed"]
    assert len(missed) == 1
    assert words in missed[0]
    assert exit_code(judge(evidence)) == 1


@pytest.mark.parametrize("evidence", [with_cpu(strangler=32.4), with_cpu(fastapi=1200.0)])
def test_exactly_at_most_and_exactly_at_least_are_met(evidence: Evidence) -> None:
    assert set(verdicts(evidence).values()) == {"met"}


def test_a_missing_peer_leaves_its_target_unjudged_and_ends_with_3() -> None:
    found = verdicts(without("envoy"))
    assert [target for target, verdict in found.items() if verdict != "met"] == [
        "CPU per request below Envoy's"
    ]
    assert found["CPU per request below Envoy's"] == "unjudged"
    assert exit_code(judge(without("envoy"))) == 3


def test_a_missed_target_outweighs_an_unjudged_one() -> None:
    assert exit_code(judge(replace(without("envoy"), errors=2))) == 1


def test_nothing_is_met_when_the_proxy_itself_was_not_measured() -> None:
    absent = replace(without("strangler"), upload_peak_bytes=None, errors=None)
    assert set(verdicts(absent).values()) == {"unjudged"}


def test_what_only_left_out_is_not_held_against_the_run() -> None:
    chosen = replace(
        GOOD,
        asked=frozenset({"strangler", "haproxy"}),
        cpu_us={"strangler": 30.0, "haproxy": 18.0},
    )
    found = verdicts(chosen)
    assert found["CPU per request below Caddy's"] == "not asked"
    assert found["CPU per request at most 1.8 times HAProxy's"] == "met"
    assert exit_code(judge(chosen)) == 0


def test_the_figures_behind_a_verdict_are_shown() -> None:
    shown = {judgement.target: judgement.detail for judgement in judge(GOOD)}
    assert shown["CPU per request at most 1.8 times HAProxy's"] == "30.0 µs, 18.0 µs: 1.67 times"


def test_no_targets_at_all_is_no_failure() -> None:
    assert exit_code([Judgement("target", "not asked", "")]) == 0
