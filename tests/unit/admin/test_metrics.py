"""The figures as Prometheus' own parsers read them back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from strangler_proxy.admin.metrics import exposition
from strangler_proxy.running.counts import BOUNDS_S, Tally

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def side(
    *answers: tuple[float, int], route: str = "posts", upstream: str = "monolith"
) -> dict[str, Any]:
    tally = Tally()
    for latency, status in answers:
        tally.record(latency, status)
    return {"route": route, "upstream": upstream, "side": "control", **tally.as_json()}


def figures(**values: Any) -> dict[str, Any]:
    return {
        "generation": 3,
        "reloads": {"served": 2, "refused": 1, "last_unix_s": None},
        "workers": [
            {"pid": 1, "generation": 3, "connections": 4},
            {"pid": 2, "generation": 3, "connections": 5},
        ],
        "sides": [],
        "upstreams": [],
        "events": [],
        **values,
    }


def samples(told: dict[str, Any]) -> Samples:
    """The samples in the plain form, after the stricter parser has taken the other as well."""
    strict = exposition(told, "application/openmetrics-text; version=1.0.0")
    assert strict[1].startswith("application/openmetrics-text")
    assert list(openmetrics(strict[0].decode()))
    text, content_type = exposition(told)
    assert content_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in plain(text.decode())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"strangler_{name}", frozenset(labels.items())))


SIDE = {"route": "posts", "upstream": "monolith", "side": "control"}


def test_answers_are_counted_by_status_and_failures_by_themselves() -> None:
    found = samples(figures(sides=[side((0.01, 200), (0.02, 200), (0.03, 404), (0.1, 503))]))
    assert value(found, "requests_total", **SIDE, status="200") == 2
    assert value(found, "requests_total", **SIDE, status="404") == 1
    assert value(found, "requests_total", **SIDE, status="503") == 1
    assert value(found, "failures_total", **SIDE) == 1


def test_histogram_is_cumulative_with_exact_count_and_sum() -> None:
    times = [0.0001, 0.00015, 0.0002, 0.01, 200.0]
    found = samples(figures(sides=[side(*((seconds, 200) for seconds in times))]))
    name = "request_duration_seconds"
    bounds = [BOUNDS_S[index] for index in range(0, 81, 4)]
    for bound in bounds:
        expected = sum(seconds <= bound for seconds in times)
        assert value(found, f"{name}_bucket", **SIDE, le=str(bound)) == expected
    assert value(found, f"{name}_bucket", **SIDE, le="+Inf") == 5
    assert value(found, f"{name}_count", **SIDE) == 5
    assert value(found, f"{name}_sum", **SIDE) == pytest.approx(sum(times))
    assert sum(1 for key, _ in found if key == f"strangler_{name}_bucket") == len(bounds) + 1


def test_workers_figures_of_one_side_are_added_not_repeated() -> None:
    rows = [side((0.01, 200)), side((0.02, 200), (0.03, 500))]
    found = samples(figures(sides=rows))
    assert value(found, "requests_total", **SIDE, status="200") == 2
    assert value(found, "request_duration_seconds_sum", **SIDE) == pytest.approx(0.06)


def test_events_have_families_of_their_own_and_unknown_ones_a_common_one() -> None:
    def event(event: str, subject: str, detail: str, count: int) -> dict[str, Any]:
        return {"event": event, "subject": subject, "detail": detail, "count": count}

    rows = [
        event("refused", "login", "rate limit", 3),
        event("refused", "login", "token", 1),
        event("retry", "image", "502", 2),
        event("retry", "image", "connect", 4),
        event("ejected", "image", "127.0.0.1:3003", 1),
        event("fallback", "upload", "image", 2),
        event("part-fallback", "page", "author", 7),
        event("breaker-opened", "image", "", 1),
        event("log-dropped", "", "", 9),
        event("novelty", "a", "b", 5),
    ]
    found = samples(figures(events=rows))
    assert value(found, "refused_total", route="login", reason="rate limit") == 3
    assert value(found, "refused_total", route="login", reason="token") == 1
    assert value(found, "retries_total", upstream="image") == 6
    assert value(found, "ejections_total", upstream="image") == 1
    assert value(found, "fallbacks_total", route="upload", upstream="image") == 2
    assert value(found, "part_fallbacks_total", route="page", part="author") == 7
    assert value(found, "breaker_opened_total", upstream="image") == 1
    assert value(found, "access_log_dropped_total") == 9
    assert value(found, "events_total", event="novelty", subject="a", detail="b") == 5
    assert value(samples(figures()), "access_log_dropped_total") == 0


def test_upstreams_tell_load_breaker_and_addresses() -> None:
    rows = [
        {
            "name": "image",
            "in_flight": 3,
            "idle": 2,
            "waiting": 1,
            "breaker": "half-open",
            "addresses": [
                {"address": "127.0.0.1:3003", "well": True, "draining": False, "ejected": 0},
                {"address": "[::1]:3003", "well": False, "draining": True, "ejected": 2},
            ],
        },
        {
            "name": "monolith",
            "in_flight": 0,
            "idle": 0,
            "waiting": 0,
            "breaker": None,
            "addresses": [],
        },
    ]
    found = samples(figures(upstreams=rows))
    assert value(found, "upstream_in_flight", upstream="image") == 3
    assert value(found, "upstream_idle_connections", upstream="image") == 2
    assert value(found, "upstream_waiting", upstream="image") == 1
    states = {
        state: value(found, "breaker_state", upstream="image", state=state)
        for state in ("closed", "open", "half-open")
    }
    assert states == {"closed": 0, "open": 0, "half-open": 1}
    assert value(found, "breaker_state", upstream="monolith", state="closed") is None
    first, second = ("127.0.0.1:3003", "[::1]:3003")
    assert value(found, "upstream_address_up", upstream="image", address=first) == 1
    assert value(found, "upstream_address_up", upstream="image", address=second) == 0
    assert value(found, "upstream_address_draining", upstream="image", address=second) == 1
    assert value(found, "upstream_address_ejected", upstream="image", address=second) == 2


def test_the_proxy_tells_of_itself() -> None:
    found = samples(figures(reloads={"served": 2, "refused": 1, "last_unix_s": 1.7e9}))
    assert value(found, "generation") == 3
    assert value(found, "reloads_total", outcome="served") == 2
    assert value(found, "reloads_total", outcome="refused") == 1
    assert value(found, "last_reload_timestamp_seconds") == 1.7e9
    assert (value(found, "workers"), value(found, "connections")) == (2, 9)
    assert any(name.startswith("process_") for name, _ in found)
    assert value(samples(figures()), "last_reload_timestamp_seconds") is None


@given(st.text(max_size=50))
def test_no_label_can_break_out_of_its_quotes(text: str) -> None:
    row = {"event": "refused", "subject": text, "detail": 'a"} 1\nb{c="', "count": 1}
    found = samples(figures(events=[row]))
    assert value(found, "refused_total", route=text, reason='a"} 1\nb{c="') == 1
