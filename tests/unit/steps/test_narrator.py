"""A run as it is told: in place on a terminal, in sparse plain lines anywhere else."""

from io import StringIO

from rich.console import Console

from strangler_proxy.steps import Evidence, Verdict
from strangler_proxy.steps.narrator import Narrator
from tests.unit.steps.fakes import FakePace


def told(terminal):
    pace, out = FakePace(), StringIO()
    console = Console(file=out, force_terminal=terminal, width=60, _environ={"TERM": "xterm"})
    narrator = Narrator(console, pace.now)
    narrator.acting("start [it]")
    for seen in range(12):
        pace.wait(1)
        narrator.looking("gate", Evidence(Verdict.INCONCLUSIVE, f"{seen} of 20 seen"))
    narrator.result("gate: 20 of 20 [seen]", Verdict.PASSED)
    narrator.left("edge [2]: flip by hand")
    narrator.quiet()
    return out.getvalue()


def test_a_log_gets_plain_lines_and_evidence_only_now_and_then():
    assert told(terminal=False).splitlines() == [
        "... start [it]",
        "  . gate: 4 of 20 seen",
        "  . gate: 9 of 20 seen",
        "  ok gate: 20 of 20 [seen]",
        "note edge [2]: flip by hand",
    ]


def test_a_terminal_sees_evidence_count_up_in_place_and_keeps_the_result():
    text = told(terminal=True)
    assert "11 of 20 seen" not in told(terminal=False)
    assert "\x1b[2K" in text  # the live line is erased and written again
    assert "gate: 20 of 20 [seen]" in text.splitlines()[-2]


def test_a_log_of_a_gate_that_takes_a_day_stays_short():
    pace, out = FakePace(), StringIO()
    narrator = Narrator(Console(file=out, width=60), pace.now)
    for minute in range(24 * 60):
        narrator.looking("soak", Evidence(Verdict.INCONCLUSIVE, f"minute {minute}"))
        pace.wait(60)
    lines = out.getvalue().splitlines()
    assert 24 <= len(lines) <= 100
    narrator.looking("next", Evidence(Verdict.INCONCLUSIVE, "just begun"))
    pace.wait(5)
    narrator.looking("next", Evidence(Verdict.INCONCLUSIVE, "five seconds on"))
    assert "five seconds on" in out.getvalue()
