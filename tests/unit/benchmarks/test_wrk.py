import pytest

from scripts.benchmarks.wrk import Workload, WrkError, parse

FIGURES = (
    'bench-figures {"requests":200,"duration_us":2000000,"p50_us":1500,"p99_us":9000,'
    '"connect":1,"read":2,"write":3,"status":4,"timeout":5}'
)


def test_the_figures_are_found_between_what_wrk_prints_itself() -> None:
    load = parse(f"Running 2s test @ http://127.0.0.1:1/\n  2 threads\n{FIGURES}\n")
    assert (load.requests, load.seconds, load.p50_us, load.p99_us) == (200, 2.0, 1500, 9000)


def test_errors_of_every_kind_are_added_up() -> None:
    assert parse(FIGURES).errors == 15


@pytest.mark.parametrize(
    "output",
    [
        "",
        "unable to connect to 127.0.0.1:1 Connection refused",
        'bench-figures {"requests":200',
        'bench-figures {"requests":200}',
        "bench-figures 7",
    ],
)
def test_output_without_whole_figures_is_a_failure_and_not_a_zero(output: str) -> None:
    with pytest.raises(WrkError):
        parse(output)


def test_a_post_carries_its_length_for_the_sink_to_check() -> None:
    script = Workload("w", "title", "/upload", connections=1, body_bytes=4096).script()
    assert 'wrk.method = "POST"' in script
    assert '"X-Expected-Bytes"] = "4096"' in script
    assert 'string.rep("x", 4096)' in script


def test_a_get_adds_nothing_to_the_request() -> None:
    assert "wrk.method" not in Workload("w", "title", "/posts/42", connections=1).script()
