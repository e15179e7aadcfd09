from pathlib import Path

import pytest

from scripts.measures import calls, cascade, mail, names
from scripts.measures.cascade import Asked
from scripts.measures.command import Measure, Place, Result, run, told
from scripts.measures.figures import percentile, share
from scripts.processes import ComponentFailedError, Fleet


def measured(measure: Measure, folder: Path, *small: float) -> Result:
    with Fleet(folder / "log") as fleet:
        return measure(Place(folder, fleet), *small)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3.0, 1.0, 2.0, 4.0], 50) == 2.0
    assert percentile([3.0, 1.0, 2.0, 4.0], 99) == 4.0
    assert percentile([7.0], 50) == 7.0


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


def test_a_share_of_nothing_is_nothing() -> None:
    assert share(0, 0) == 0.0
    assert share(1, 3) == 33.3


def test_cells_are_short_for_people() -> None:
    cells = [told(cell) for cell in (None, "yes", 12345.6, 3.0, 0.0612)]
    assert cells == ["-", "yes", "12,346", "3", "0.0612"]


def test_an_object_names_each_cell_by_its_column() -> None:
    told_as = Result("T", ("a", "b"), (("x", 1.0), ("y", None))).as_json()
    assert told_as["rows"] == [{"a": "x", "b": 1.0}, {"a": "y", "b": None}]
    assert "machine" in told_as


def test_a_program_that_does_not_start_is_told_and_the_status_is_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(_place: Place) -> Result:
        raise ComponentFailedError("front did not answer")

    assert run(broken, "", []) == 1
    assert "front did not answer" in capsys.readouterr().err


def test_ways_of_asking_are_compared_with_the_first() -> None:
    table = calls.table({"function call": [2.0], "HTTP": [400.0, 400.0]})
    assert [row[3] for row in table.rows] == [1, 200]


def test_requests_without_an_answer_count_against_their_own_route() -> None:
    asked = [Asked("/alone", 0.002), Asked("/alone", None), Asked("/asking", None)]
    assert cascade.row("hangs", "no", asked) == ("hangs", "no", 50.0, 2.0, 0.0)


def test_a_route_that_is_never_answered_has_no_time() -> None:
    asked = [Asked("/alone", None), Asked("/asking", 0.1)]
    assert cascade.row("hangs", "no", asked) == ("hangs", "no", 0.0, None, 100.0)


def test_mails_that_did_not_arrive_are_lost() -> None:
    assert mail.row("inline", [3.0, 1.0], 1, None) == ("inline", 2, 1000.0, 3000.0, 1, 1, None)


def test_stale_names_are_told_in_milliseconds() -> None:
    assert names.row("file", [0.05, 0.01, 0.02]) == ("file", 3, 20.0, 50.0, 50.0)


def test_an_http_call_costs_more_than_a_function_call(tmp_path: Path) -> None:
    function, *by_http = measured(calls.measure, tmp_path, 20).rows
    assert all(float(row[1] or 0) > float(function[1] or 0) for row in by_http)


@pytest.mark.walk
def test_without_a_breaker_a_hanging_dependency_takes_unrelated_requests_along(
    tmp_path: Path,
) -> None:
    well, without, with_breaker = measured(cascade.measure, tmp_path, 4).rows
    assert float(well[2] or 0) > float(without[2] or 0)
    assert float(with_breaker[2] or 0) > float(without[2] or 0)


@pytest.mark.walk
def test_no_mail_of_the_outbox_is_lost(tmp_path: Path) -> None:
    inline, queued = measured(mail.measure, tmp_path, 4).rows
    assert (inline[4], queued[4]) == (0, 4)


@pytest.mark.walk
def test_a_copied_name_is_refreshed(tmp_path: Path) -> None:
    rows = measured(names.measure, tmp_path, 2).rows
    assert [row[1] for row in rows] == [2] * len(rows)
