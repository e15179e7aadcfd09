import io
import json

import pytest
from rich.console import Console

from strangler_proxy.handover.progress import Advance, Bars, JsonLines, Meter, told


def test_rate_and_time_left_follow_from_rows_and_times() -> None:
    meter = Meter("posts", 1_000, 0, 0.0)
    for second in range(1, 6):
        advance = meter.add(100, float(second))
    assert (advance.rows, advance.total) == (500, 1_000)
    assert advance.rows_per_s == pytest.approx(100)
    assert advance.seconds_left == pytest.approx(5)


def test_rows_of_an_earlier_run_count_as_done_and_not_as_fast() -> None:
    advance = Meter("posts", 1_000, 900, 0.0).add(50, 1.0)
    assert advance.rows == 950
    assert advance.rows_per_s == pytest.approx(50)
    assert advance.seconds_left == pytest.approx(1)


def test_a_slower_pace_shows_within_seconds() -> None:
    meter = Meter("posts", None, 0, 0.0)
    meter.add(1_000, 1.0)
    for second in range(2, 40):
        advance = meter.add(10, float(second))
    assert advance.rows_per_s == pytest.approx(10, abs=20)


def test_no_time_is_claimed_where_nothing_is_known() -> None:
    assert Meter("posts", None, 0, 0.0).add(10, 1.0).seconds_left is None
    assert Meter("posts", 5, 0, 0.0).add(10, 1.0).seconds_left is None
    assert Meter("posts", 100, 0, 0.0).advance().seconds_left is None


def test_done_is_done_whatever_was_estimated() -> None:
    meter = Meter("posts", 5_000, 0, 0.0)
    meter.add(10, 1.0)
    advance = meter.advance(done=True)
    assert (advance.total, advance.seconds_left, advance.done) == (10, 0.0, True)


def test_json_has_a_line_for_each_advance() -> None:
    out = io.StringIO()
    report = JsonLines(out)
    report(Advance("posts", 10, None, 5.0, None))
    report(Advance("posts", 20, 20, 5.0, 0.0, done=True))
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["rows"] for line in lines] == [10, 20]
    assert lines[1]["done"] is True


def test_in_a_log_only_finished_tables_are_told() -> None:
    out = io.StringIO()
    with Bars(Console(file=out, force_terminal=False)) as bars:
        bars(Advance("posts", 10, 100, 5.0, 18.0))
        bars(Advance("posts[1]", 100, 100, 5.0, 0.0, done=True))
    assert out.getvalue() == "posts[1]: 100 rows, done\n"


def test_on_a_terminal_a_table_has_a_bar() -> None:
    out = io.StringIO()
    with Bars(Console(file=out, force_terminal=True, width=120)) as bars:
        bars(Advance("posts", 1_000, 4_000, 500.0, 6.0))
    assert "1,000 of about 4,000 rows, 500 a second, 0:06 left" in out.getvalue()


def test_a_pause_is_told_as_one() -> None:
    assert told(Advance("posts", 10, None, 5.0, None, waiting=True)) == "10 rows, told to wait"
