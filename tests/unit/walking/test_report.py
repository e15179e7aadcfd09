import json

import pytest

from scripts.walking.audit import Finding
from scripts.walking.figures import Failure, Figures, percentile
from scripts.walking.journal import Journal
from scripts.walking.report import Report, StepRun, as_json, build

DONE = StepRun("step_1_image.py --execute", 0, 20.0, "")


@pytest.mark.parametrize(
    ("values", "percent", "wanted"),
    [([], 99, None), ([3.0], 99, 3.0), (range(1, 101), 99, 99), (range(1, 102), 99, 100)],
)
def test_a_percentile_is_a_value_that_occurred(
    values: list[float], percent: float, wanted: float | None
) -> None:
    assert percentile(values, percent) == wanted


def walked(
    *findings: Finding, failures: int = 0, steps: tuple[StepRun, ...] = (DONE,), requests: int = 1
) -> Report:
    figures, journal = Figures(), Journal()
    for _ in range(requests):
        figures.answered("before", "posts-list", 0.25)
        figures.answered("after", "posts-list", 0.05)
    for _ in range(failures):
        figures.failed(Failure("posts-list", "before", "GET /posts", "walk-1", "status 502", ""))
    row, change = journal.send("post", "fig", {}, 1)
    journal.acknowledge(row, change, 1, 2)
    return build(figures, journal, findings, steps, seed=1, uploaders=4, folder="/somewhere")


def test_a_walk_without_fault_passes_and_tells_the_reason_for_the_step() -> None:
    told = as_json(walked())
    assert told["passed"] is True
    assert told["posts_list_p99_ms_while_uploading"] == {"before": 250.0, "after": 50.0}
    assert told["acknowledged"]["post"] == 1
    json.dumps(told)


@pytest.mark.parametrize(
    "report",
    [
        walked(Finding("lost", "database", "post 1", "")),
        walked(Finding("unexpected", "mail", "to ann", "")),
        walked(failures=1),
        walked(steps=()),
        walked(steps=(DONE, StepRun("step_1_image.py --undo", 3, 1.0, ""))),
        walked(requests=0),
    ],
    ids=["lost", "unexpected", "failed", "no step", "undo stopped", "nothing asked"],
)
def test_any_loss_failure_or_unfinished_step_fails_the_walk(report: Report) -> None:
    assert as_json(report)["passed"] is False


def test_charges_made_twice_are_counted_apart_from_other_duplicates() -> None:
    charge = Finding("duplicated", "stripe", "payment 1", "")
    told = as_json(walked(charge, Finding("duplicated", "mail", "post 1", "")))
    assert (told["duplicates"], told["duplicated_charges"]) == (2, 1)
