from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from scripts.torturing.history import Kind, Operation, Outcome, append, read

SENT = Operation("c", Kind.INSERT, "a", "m1", 1, 2.0)


def test_what_was_answered_is_read_as_it_ended(tmp_path: Path):
    answered = replace(SENT, ended=3.0, outcome=Outcome.OK)
    with (tmp_path / "history").open("a") as file:
        append(file, SENT)
        append(file, answered)
    assert read([tmp_path / "history"]) == [answered]


def test_what_was_never_answered_may_have_been_carried_out_at_any_time(tmp_path: Path):
    with (tmp_path / "history").open("a") as file:
        append(file, SENT)
        file.write('{"client": "c", "ki')  # killed as it wrote
    (sent,) = read([tmp_path / "history"])
    assert sent.outcome == Outcome.UNKNOWN
    assert sent.ended == math.inf


def test_histories_are_read_in_the_order_of_their_beginnings(tmp_path: Path):
    for number, began in enumerate((3.0, 1.0, 2.0)):
        with (tmp_path / f"{number}").open("a") as file:
            append(file, replace(SENT, mark=f"m{number}", began=began))
    assert [each.began for each in read(sorted(tmp_path.iterdir()))] == [1.0, 2.0, 3.0]
