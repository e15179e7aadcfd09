"""Writers through two proxies, one asked by its socket and one by its admin address."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from strangler_proxy.config import load
from strangler_proxy.handover.cutover import Outcome, Wishes
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.proxies import proxies_of
from strangler_proxy.handover.way import Owner
from strangler_proxy.running.client import Refused
from tests.e2e.handover.load import CLIENTS
from tests.e2e.handover.mover import MOVE, cut_over
from tests.e2e.handover.test_cutover_under_load import Moving
from tests.e2e.handover.test_proxies import TOKEN
from tests.e2e.proxy.conftest import Served
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import until

PATIENT = Wishes(hold_s=8.0, whole=False)
"""A hold that two busy processors do not use up while something hangs."""
STEPS = ("intended", "decided")
"""Behind them something hangs: before it is asked to hold, before it is asked to flip."""


class TwoProxies(Moving):
    """The same services behind a second proxy, as if it were another machine's."""

    rate = 100.0

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        super().__init__(stack, folder)
        self._second_answers = folder / "second answers"
        self._second_load = self._python(
            "load",
            *(str(self.second.port), str(self.rate), str(self._second_answers), str(CLIENTS)),
        )

    def _more(self, stack: ExitStack) -> None:
        with closing(sqlite3.connect(self.files[Owner.CONTROL], timeout=20)) as counters, counters:
            rows = [(number, 0) for number in range(CLIENTS, 2 * CLIENTS)]
            counters.executemany("INSERT INTO counters VALUES (?, ?)", rows)
        self.other = self.config.parent / "other" / "strangler.yaml"
        self.other.parent.mkdir()
        admin = f"127.0.0.1:{free_port()}"
        self.other.write_text(f"admin: {admin}\n" + self.config.read_text())
        self.second = Served(self.other, 2, STRANGLER_ADMIN_TOKEN=TOKEN)
        stack.callback(self.second.stop)
        places = [str(self.config), {"admin": f"http://{admin}", "token_env": "TOKEN"}]
        move = Move.model_validate({**MOVE, "proxies": places})
        self.proxies = proxies_of(move, Path("not asked"), {"TOKEN": TOKEN})

    def answers(self) -> list[list[str]]:
        return super().answers() + self.through_second()

    def through_second(self) -> list[list[str]]:
        lines = self._second_answers.read_text() if self._second_answers.exists() else ""
        return [line.split(" ", 3) for line in lines.splitlines()]

    def through_both(self) -> None:
        """Writes go on through each of the two."""
        first, second = len(super().answers()) + 50, len(self.through_second()) + 50
        until(
            lambda: (
                len(super(TwoProxies, self).answers()) >= first
                and len(self.through_second()) >= second
            ),
            "writes go on through both",
            60.0,
        )

    def cut(self, at: str = "", act: Callable[[], None] = lambda: None) -> Outcome:
        """A cut-over in which something happens behind a step."""

        def checkpoint(step: str) -> None:
            if step == at:
                act()

        return cut_over(self.first, self.config, PATIENT, checkpoint, self.proxies)

    def serving(self) -> set[Owner]:
        """Who serves by both files."""
        routes = [load(path).route("notes") for path in (self.config, self.other)]
        percents = {0: Owner.CONTROL, 100: Owner.CANDIDATE}
        return {percents[route.serve.candidate_percent] for route in routes if route}

    def end(self) -> None:
        self._second_load.terminate()
        assert self._second_load.wait(20) == 0
        super().end()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoProxies]:
    with ExitStack() as stack:
        two = TwoProxies(stack, tmp_path)
        two.tail_while_writes_go_on(100)
        yield two


def test_a_cut_over_holds_and_flips_both_there_and_back(two: TwoProxies) -> None:
    for owner in (Owner.CANDIDATE, Owner.CONTROL, Owner.CANDIDATE):
        outcome = two.cut()
        assert (outcome.done, outcome.owner, outcome.warnings) == (True, owner, ()), outcome
        assert two.serving() == {owner}
        two.through_both()
        two.tail_while_writes_go_on(100)
    two.end()
    assert two.wrong() == []
    two.check()


def test_a_hold_that_one_refuses_leaves_nothing_held_or_flipped_anywhere(two: TwoProxies) -> None:
    names = []
    outcome = two.cut(
        "intended",
        lambda: names.append(two.second.running.hold(["(default)"], seconds=30, drain_s=5)),
    )
    assert not outcome.done
    assert "is in force" in str(outcome.reason)
    assert two.serving() == {Owner.CONTROL}
    two.through_both()
    two.second.running.release(names[0])
    two.tail_while_writes_go_on(100)
    assert two.cut().done
    two.end()
    assert two.wrong() == []
    two.check()


@pytest.mark.parametrize("which", ["the one of this machine", "the other"])
def test_a_supervisor_that_is_stopped_is_given_up_before_any_client_sees_it(
    two: TwoProxies, which: str
) -> None:
    served = two.served if which.startswith("the one") else two.second
    for step in STEPS:
        with stopped(served.process.pid) as stop:
            outcome = two.cut(step, stop)
            assert not outcome.done
            assert "in time" in str(outcome.reason)
            two.through_both()  # nothing is held, at the stopped one's workers neither
        until(lambda: _is_free(served), "what had been asked of it is over", 30.0)
        assert two.serving() == {Owner.CONTROL}
        two.tail_while_writes_go_on(100)
    assert two.cut().done
    two.through_both()
    two.end()
    assert two.wrong() == []
    two.check()


def test_a_worker_that_is_stopped_undoes_it_and_its_clients_see_a_slower_answer(
    two: TwoProxies,
) -> None:
    for step in STEPS:
        with stopped(two.second.status().workers[0].pid) as stop:
            assert not two.cut(step, stop).done
            assert two.serving() == {Owner.CONTROL}
        two.through_both()
        two.tail_while_writes_go_on(100)
    assert two.cut().done
    two.end()
    assert two.wrong() == []
    two.check()


@contextmanager
def stopped(pid: int) -> Iterator[Callable[[], None]]:
    """What stops a process, which goes on at the end."""
    try:
        yield lambda: os.kill(pid, signal.SIGSTOP)
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_free(served: Served) -> bool:
    with suppress(Refused):
        return (
            served.running.release(served.running.hold(["(default)"], seconds=1, drain_s=5)).broken
            is None
        )
    return False
