import io

from rich.console import Console

from scripts.walking.audit import Finding
from scripts.walking.cast import every
from scripts.walking.figures import Failure
from scripts.walking.killing import Death
from scripts.walking.report import Latency, Report, StepRun
from scripts.walking.telling import Teller, tell

FAST, SLOW = Latency(10, 5.0, 50.0), Latency(10, 20.0, 200.0)

DIED = Death("auth", 12, 1.25)


def report(
    *, failures: tuple[Failure, ...] = (), findings: tuple[Finding, ...] = (), exit_code: int = 0
) -> Report:
    step = StepRun("step_1_image.py --execute", exit_code, 20.0, "the gate said no")
    latency = {"posts-list": {"before": SLOW, "after": FAST}}
    told = list(failures), list(findings)
    return Report(7, 20, *told, {"post": 3}, [step], [DIED], latency, 4, "/somewhere/walk")


def said(found: Report) -> str:
    console = Console(file=io.StringIO(), width=200)
    tell(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_good_walk_tells_the_reason_for_the_step_with_both_figures() -> None:
    told = said(report())
    assert "200 ms before and is 50 ms after, 4.0 times less" in told
    assert "Every answer was right, and nothing was lost." in told
    assert "back in 1.2 s; 12 of its own requests failed" in told


def test_a_failed_walk_tells_the_request_the_answer_the_id_and_where_the_logs_are() -> None:
    failure = Failure("post-read", "before", "GET /posts/1", "walk-9", "status 502", "502 [gone]")
    told = said(report(failures=(failure,)))
    for words in ("GET /posts/1", "walk-9", "status 502", "502 [gone]", "/somewhere/walk"):
        assert words in told
    assert "nothing was lost" not in told


def test_findings_and_a_step_that_fell_back_are_told() -> None:
    lost = Finding("lost", "database", "post 3", "acknowledged, and not there")
    told = said(report(findings=(lost,), exit_code=1))
    assert "lost: post 3, seen in: database" in told
    assert "step_1_image.py --execute ended with 1" in told
    assert "the gate said no" in told


def test_without_a_terminal_phases_and_now_and_then_counts_are_plain_lines() -> None:
    now = 0.0
    console = Console(file=io.StringIO(), width=80)
    with Teller(console, lambda: "3 requests", lambda: now) as teller:
        teller.phase("traffic")
        for now in (1.0, 2.0, 6.0, 7.0):
            teller.note(f"at {now:.0f} s")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "== traffic",
        "   3 requests; at 6 s",
        "   3 requests",
    ]


def test_a_fixed_rate_makes_up_for_an_act_that_took_long() -> None:
    now = 10.0
    pause_s = every(1.0, lambda: now)
    assert pause_s() == 1.0
    now = 12.5  # the second act began at 11 and took 1.5 s
    assert pause_s() == 0.0
    now = 12.75
    assert pause_s() == 0.25
