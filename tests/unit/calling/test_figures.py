"""What is told of the traffic."""

from rich.console import Console

from scripts.calling.figures import Line, as_json, described, lines, told
from scripts.calling.telling import table
from scripts.walking.figures import Failure, Figures


def seen() -> Figures:
    figures = Figures()
    for kind, latency_s in (("upload", 0.4), ("posts-list", 0.01), ("posts-list", 0.03)):
        figures.answered("start", kind, latency_s)
    request = ("upload", "start", "POST /upload", "walk-7")
    figures.failed(Failure(*request, "status 502, not [201]", "502 gone"))
    return figures


def test_all_requests_come_first_and_then_each_kind_with_its_own_failures():
    assert lines(seen()) == [
        Line("all", 3, 1, 30.0, 400.0),
        Line("posts-list", 2, 0, 10.0, 30.0),
        Line("upload", 1, 1, 400.0, 400.0),
    ]


def test_without_a_request_there_is_no_latency():
    assert told(lines(Figures())[0]) == "0 requests, 0 failed; p50 - ms, p99 - ms"


def test_the_json_has_the_totals_every_kind_and_the_failures_in_full():
    found = as_json(seen(), "http://127.0.0.1:8000", 12, 20.04)
    assert (found["requests"], found["failed"], found["seconds"]) == (3, 1, 20.0)
    assert [kind["kind"] for kind in found["kinds"]] == ["posts-list", "upload"]
    assert found["failures"][0]["answer"] == "502 gone"


def test_a_failure_is_told_with_what_helps_to_look_into_it():
    assert described(seen().failures[0]) == (
        "failed: POST /upload (request id walk-7)\n    status 502, not [201]\n    answer: 502 gone"
    )


def test_the_table_has_a_row_for_each_kind_and_one_for_all():
    console = Console(width=80)
    with console.capture() as shown:
        console.print(table(seen(), "5 s to go"))
    rows = [line.split() for line in shown.get().splitlines()]
    assert ["│", "posts-list", "│", "2", "│", "0", "│", "10", "│", "30", "│"] in rows
    assert ["│", "all", "│", "3", "│", "1", "│", "30", "│", "400", "│"] in rows
    assert "5 s to go" in shown.get()
