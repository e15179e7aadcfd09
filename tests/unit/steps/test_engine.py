"""A run: goes forward through gates, falls back by itself, stops without deciding, resumes."""

import pytest

from strangler_proxy.steps import Stage, Step, Verdict
from strangler_proxy.steps.decision import Direction, UnknownPart
from strangler_proxy.steps.engine import Ending, Run
from strangler_proxy.steps.ledger import open_ledger, read_ledger
from strangler_proxy.steps.order import OutOfTurn
from strangler_proxy.steps.state import Kind, Phase
from strangler_proxy.steps.step import Interrupted, PartFailed
from tests.unit.steps.fakes import FakeGate, FakeLongGate, FakePace, FakePart, Silent

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


class World:
    """A step over fake parts, and a ledger that every run of it opens anew."""

    def __init__(self, folder):
        self.path = folder / "ledger.jsonl"
        self.seen = {}

    def part(self, name, **how):
        return FakePart(name, self.seen, **how)

    def run(self, wanted, *stages, pace=None, options=None, needed_by=(), out_of_turn=None):
        step = Step("s", "S", stages)
        self.watcher = Silent()
        with open_ledger(self.path, wanted) as ledger:
            run = Run(
                step,
                ledger,
                pace or FakePace(),
                self.watcher,
                options or {},
                lambda: needed_by,
                out_of_turn or (lambda _: None),
            )
            try:
                outcome = run.to(wanted)
            finally:
                self.state = ledger.state
        return outcome

    @property
    def journal(self):
        return self.seen.get("journal", [])


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_parts_execute_in_order_each_behind_the_gates_before_it(world):
    outcome = world.run(
        Direction.EXECUTE,
        Stage("1", world.part("a"), (FakeGate("g", INCONCLUSIVE, INCONCLUSIVE, PASSED),)),
        Stage("2", world.part("b"), (FakeGate("h"),)),
    )
    assert outcome.ending is Ending.DONE
    assert world.journal == ["execute a", "execute b"]
    assert [line for line in world.watcher.told if line.startswith(("passed", "1/g"))] == [
        "passed a",
        "1/g inconclusive",
        "1/g inconclusive",
        "1/g passed",
        "passed 1/g: passed it is",
        "passed b",
        "passed 2/h: passed it is",
    ]


def test_what_a_part_leaves_for_a_person_is_told_behind_it_and_kept(world):
    stage = Stage("1", world.part("a", left="edge-2 has not confirmed: flip by hand"))
    for wanted, done in ((Direction.EXECUTE, "passed a"), (Direction.UNDO, "passed undone: a")):
        world.run(wanted, stage)
        at = world.watcher.told.index(done)
        assert world.watcher.told[at + 1] == "note a: edge-2 has not confirmed: flip by hand"
    kept = [record["left"] for record in read_ledger(world.path) if "left" in record]
    assert kept == ["edge-2 has not confirmed: flip by hand"] * 2


def test_a_failed_gate_makes_the_step_fall_back_in_reverse_order(world):
    stages = (
        Stage("1", world.part("a")),
        Stage("2", world.part("b"), (FakeGate("g", INCONCLUSIVE, FAILED),)),
        Stage("3", world.part("c")),
    )
    outcome = world.run(Direction.EXECUTE, *stages)
    assert outcome.ending is Ending.FELL_BACK
    assert "2/g: failed it is" in outcome.text
    assert world.journal == ["execute a", "execute b", "undo b", "undo a"]
    assert world.state.phase is Phase.IDLE


def test_a_part_that_cannot_be_executed_is_undone_with_those_before_it(world):
    broken = world.part("b", fails="execute")
    outcome = world.run(Direction.EXECUTE, Stage("1", world.part("a")), Stage("2", broken))
    assert outcome.ending is Ending.FELL_BACK
    assert "b: it broke" in outcome.text
    assert world.journal == ["execute a", "undo b", "undo a"]


class Stopped(FakePace):
    """Somebody asked to stop while the part or the gate was at work."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def wait(self, seconds):
        if "stop" in self.seen:
            raise Interrupted("SIGINT")
        super().wait(seconds)


def test_what_fails_once_a_stop_was_asked_for_stops_the_step_and_does_not_turn_it_back(world):
    class Killed(FakePart):
        def execute(self, facts, pace):
            self.world["stop"] = True
            raise PartFailed("it ended with -2")

    outcome = world.run(
        Direction.EXECUTE,
        Stage("1", world.part("a")),
        Stage("2", Killed("b", world.seen)),
        pace=Stopped(world.seen),
    )
    assert (outcome.ending, outcome.text) == (Ending.STOPPED, "stopped by SIGINT")
    assert (world.state.phase, world.journal) == (Phase.FORWARD, ["execute a"])


def test_a_gate_that_fails_once_a_stop_was_asked_for_stops_the_step(world):
    class Killed(FakeGate):
        def begin(self, pace):
            world.seen["stop"] = True
            return super().begin(pace)

    stages = (Stage("1", world.part("a"), (Killed("g", FAILED),)),)
    outcome = world.run(Direction.EXECUTE, *stages, pace=Stopped(world.seen))
    assert (outcome.ending, outcome.text) == (Ending.STOPPED, "stopped by SIGINT")
    assert world.state.phase is Phase.FORWARD


def test_too_little_evidence_stops_the_step_where_it_stands_after_a_bounded_wait(world):
    pace = FakePace()
    stages = (
        Stage("1", world.part("a"), (FakeGate("g", INCONCLUSIVE, patience_s=10),)),
        Stage("2", world.part("b")),
    )
    outcome = world.run(Direction.EXECUTE, *stages, pace=pace)
    assert outcome.ending is Ending.STOPPED
    assert "too little evidence after 10 s" in outcome.text
    assert "--execute" in outcome.advice
    assert "--undo" in outcome.advice
    assert pace.time == 10
    assert world.journal == ["execute a"]


def test_after_a_stop_execute_goes_on_and_repeats_no_part_and_no_passed_gate(world):
    first = Stage("1", world.part("a"), (FakeGate("f"), FakeGate("g", INCONCLUSIVE)))
    world.run(Direction.EXECUTE, first, Stage("2", world.part("b")))
    first = Stage("1", world.part("a"), (FakeGate("f", FAILED), FakeGate("g")))
    outcome = world.run(Direction.EXECUTE, first, Stage("2", world.part("b")))
    assert outcome.ending is Ending.DONE
    assert world.journal == ["execute a", "execute b"]


def test_undo_after_a_partial_execute_undoes_what_was_done_and_execute_begins_again(world):
    def stages(verdict):
        return (
            Stage("1", world.part("a"), (FakeGate("g", verdict),)),
            Stage("2", world.part("b")),
        )

    world.run(Direction.EXECUTE, *stages(INCONCLUSIVE))
    assert world.run(Direction.UNDO, *stages(PASSED)).ending is Ending.DONE
    assert world.journal == ["execute a", "undo a"]
    assert world.run(Direction.EXECUTE, *stages(PASSED)).ending is Ending.DONE
    assert world.journal == ["execute a", "undo a", "execute a", "execute b"]


def test_repeating_a_finished_run_in_its_direction_changes_nothing(world):
    stages = (Stage("1", world.part("a")),)
    for _ in range(2):
        assert world.run(Direction.EXECUTE, *stages).ending is Ending.DONE
    for _ in range(2):
        assert world.run(Direction.UNDO, *stages).ending is Ending.DONE
    assert world.journal == ["execute a", "undo a"]


def test_a_part_no_longer_in_force_is_done_again_and_its_own_gates_asked_again(world):
    def stages(holds):
        first = Stage("1", world.part("a", holds=holds), (FakeGate("g"),))
        return first, Stage("2", world.part("b"), (FakeGate("h"),))

    world.run(Direction.EXECUTE, *stages(holds=True))
    assert world.run(Direction.EXECUTE, *stages(holds=False)).ending is Ending.DONE
    assert world.journal == ["execute a", "execute b", "execute a"]
    again = [line for line in world.watcher.told if line.startswith("passed")]
    assert again == ["passed a", "passed 1/g: passed it is"]


def test_parts_of_one_family_are_undone_at_once_to_what_was_before_the_first(world):
    flips = [world.part(f"{share}%", family="flip") for share in (5, 50, 100)]
    stages = [Stage(part.name, part) for part in flips]
    world.run(Direction.EXECUTE, Stage("start", world.part("start")), *stages)
    world.run(Direction.UNDO, Stage("start", world.part("start")), *stages)
    assert world.journal[4:] == ["undo 5%", "undo start"]


def test_an_undo_that_fails_stops_and_can_be_repeated(world):
    stuck = (Stage("1", world.part("a")), Stage("2", world.part("b", fails="undo")))
    world.run(Direction.EXECUTE, *stuck)
    outcome = world.run(Direction.UNDO, *stuck)
    assert outcome.ending is Ending.STOPPED
    assert "b could not be undone: it is stuck" in outcome.text
    mended = (Stage("1", world.part("a")), Stage("2", world.part("b")))
    assert world.run(Direction.UNDO, *mended).ending is Ending.DONE
    assert world.journal[2:] == ["undo b", "undo a"]


def test_execute_during_an_unfinished_undo_completes_it_and_then_begins_again(world):
    stages = (Stage("1", world.part("a")), Stage("2", world.part("b", fails="undo")))
    world.run(Direction.EXECUTE, *stages)
    world.run(Direction.UNDO, *stages)
    mended = (Stage("1", world.part("a")), Stage("2", world.part("b")))
    assert world.run(Direction.EXECUTE, *mended).ending is Ending.DONE
    assert world.journal[2:] == ["undo b", "undo a", "execute a", "execute b"]


def test_execute_during_an_unfinished_fall_back_completes_it_and_says_why_it_fell(world):
    stages = (Stage("1", world.part("a", fails="undo"), (FakeGate("g", FAILED),)),)
    assert world.run(Direction.EXECUTE, *stages).ending is Ending.STOPPED
    mended = (Stage("1", world.part("a"), (FakeGate("g", FAILED),)),)
    outcome = world.run(Direction.EXECUTE, *mended)
    assert outcome.ending is Ending.FELL_BACK
    assert "1/g: failed it is" in outcome.text


def test_a_request_to_stop_is_heard_while_a_gate_waits(world):
    stages = (Stage("1", world.part("a"), (FakeGate("g", INCONCLUSIVE),)),)
    outcome = world.run(Direction.EXECUTE, *stages, pace=FakePace(stop_at=3))
    assert (outcome.ending, outcome.text) == (Ending.STOPPED, "stopped by SIGTERM")
    assert world.run(Direction.UNDO, *stages).ending is Ending.DONE


def test_a_gate_that_takes_long_goes_on_from_what_an_earlier_run_has_noted(world):
    stages = (Stage("1", world.part("a"), (FakeLongGate("g", 10),)),)
    stopped = world.run(Direction.EXECUTE, *stages, pace=FakePace(stop_at=5))
    assert stopped.ending is Ending.STOPPED
    assert world.run(Direction.EXECUTE, *stages).ending is Ending.DONE
    seen = [line for line in world.watcher.told if line.startswith("1/g")]
    assert len(seen) == 6  # four of the five looks of the run before were noted
    noted = [r["facts"] for r in read_ledger(world.path) if r["kind"] == Kind.NOTED]
    assert noted == [{"seen": seen} for seen in (2, 4, 6, 8, 10)]


@pytest.mark.parametrize("between", ["undo", "lapse"])
def test_what_was_noted_is_forgotten_by_an_undo_and_when_a_part_was_no_longer_in_force(
    world, between
):
    def stages(holds=True):
        return (Stage("1", world.part("a", holds=holds), (FakeLongGate("g", 10),)),)

    world.run(Direction.EXECUTE, *stages(), pace=FakePace(stop_at=5))
    if between == "undo":
        world.run(Direction.UNDO, *stages())
    world.run(Direction.EXECUTE, *stages(holds=between == "undo"))
    assert len([line for line in world.watcher.told if line.startswith("1/g")]) == 10


def test_a_gate_without_patience_stops_the_step_with_its_own_words(world):
    gate = FakeGate("g", INCONCLUSIVE, patience_s=0)
    outcome = world.run(Direction.EXECUTE, Stage("1", None, (gate,)))
    assert (outcome.ending, outcome.text) == (Ending.STOPPED, "1/g: inconclusive it is")


def test_intents_are_on_record_before_the_act_and_results_after_it(world):
    world.run(Direction.EXECUTE, Stage("1", world.part("a"), (FakeGate("g"),)))
    world.run(Direction.UNDO, Stage("1", world.part("a"), (FakeGate("g"),)))
    kinds = [record["kind"] for record in read_ledger(world.path)]
    assert kinds == [
        *(Kind.RUN, Kind.BEGAN, Kind.DOING, Kind.DONE, Kind.PASSED, Kind.FINISHED),
        *(Kind.RUN, Kind.TURNED, Kind.UNDOING, Kind.UNDONE, Kind.RESTORED),
    ]


def test_the_options_of_an_attempt_are_remembered_until_it_is_undone(world):
    stages = (Stage("1", world.part("a"), (FakeGate("g", INCONCLUSIVE),)),)
    world.run(Direction.EXECUTE, *stages, options={"percents": (5, 50)})
    assert world.state.options == {"percents": [5, 50]}
    world.run(Direction.UNDO, *stages)
    assert world.state.options == {}


def test_a_step_that_others_need_is_mended_but_does_not_fall_back(world):
    assert world.run(Direction.EXECUTE, Stage("1", world.part("a"))).ending is Ending.DONE
    lapsed = Stage("1", world.part("a", fails="execute", holds=False))
    outcome = world.run(Direction.EXECUTE, lapsed, needed_by=("later",))
    assert outcome.ending is Ending.STOPPED
    assert "does not fall back, since these need it: later" in outcome.text
    doubted = Stage("1", world.part("a", holds=False), (FakeGate("g", FAILED),))
    outcome = world.run(Direction.EXECUTE, doubted, needed_by=("later",))
    assert outcome.ending is Ending.STOPPED
    assert world.state.phase is Phase.FORWARD
    assert "undo a" not in world.journal
    mended = Stage("1", world.part("a"), (FakeGate("g"),))
    assert world.run(Direction.EXECUTE, mended, needed_by=("later",)).ending is Ending.DONE


def test_options_given_to_a_later_run_are_remembered_as_those_of_the_first(world):
    stages = (Stage("1", world.part("a"), (FakeGate("g", INCONCLUSIVE),)),)
    for share in (5, 10, 10):
        world.run(Direction.EXECUTE, *stages, options={"percents": (share,)})
    assert world.state.options == {"percents": [10]}
    kinds = [record["kind"] for record in read_ledger(world.path)]
    assert kinds.count(Kind.CHOSEN) == 1
    world.run(Direction.UNDO, *stages, options={"percents": (10,)})
    assert world.state.options == {}


def test_options_that_fit_no_part_in_force_are_not_remembered(world):
    world.run(Direction.EXECUTE, Stage("1", world.part("a")), options={"percents": 5})
    for wanted in Direction:
        with pytest.raises(UnknownPart):
            world.run(wanted, Stage("1", world.part("b")), options={"percents": 10})
    assert world.state.options == {"percents": 5}


class Others:
    """Other steps, one of which begins, or goes back, behind this step's next record."""

    def __init__(self):
        self.asked = []

    def __call__(self, way):
        self.asked.append(way)
        return "another step was faster"


def test_a_step_that_began_out_of_turn_takes_it_back_and_does_nothing(world):
    with pytest.raises(OutOfTurn, match="another step was faster"):
        world.run(Direction.EXECUTE, Stage("1", world.part("a")), out_of_turn=Others())
    assert (world.state.phase, world.journal) == (Phase.IDLE, [])


@pytest.mark.parametrize(
    ("verdict", "phase"), [(PASSED, Phase.FINISHED), (INCONCLUSIVE, Phase.FORWARD)]
)
def test_a_step_that_turned_back_out_of_turn_stands_as_before(world, verdict, phase):
    stages = (Stage("1", world.part("a"), (FakeGate("g", verdict),)),)
    world.run(Direction.EXECUTE, *stages)
    others = Others()
    with pytest.raises(OutOfTurn):
        world.run(Direction.UNDO, *stages, out_of_turn=others)
    assert (world.state.phase, world.journal, world.state.cause) == (phase, ["execute a"], None)
    assert others.asked == [Direction.UNDO]
    assert world.run(Direction.UNDO, *stages).ending is Ending.DONE


@pytest.mark.parametrize("wanted", Direction)
def test_a_step_killed_when_it_had_turned_back_out_of_turn_goes_no_further_back(world, wanted):
    stages = (Stage("1", world.part("a")),)
    world.run(Direction.EXECUTE, *stages)
    with open_ledger(world.path, "undo") as ledger:
        ledger.record(Kind.TURNED)
    with pytest.raises(OutOfTurn):
        world.run(wanted, *stages, out_of_turn=Others())
    assert world.journal == ["execute a"]


def test_a_part_that_cannot_be_looked_at_stops_the_step_where_it_stands(world):
    class Blind(FakePart):
        def holds(self, facts):
            raise PartFailed("the file cannot be read")

    part = Blind("a", world.seen)
    world.run(Direction.EXECUTE, Stage("1", part))
    outcome = world.run(Direction.EXECUTE, Stage("1", part))
    assert (outcome.ending, outcome.text) == (Ending.STOPPED, "the file cannot be read")
    assert read_ledger(world.path)[-1]["kind"] == Kind.STOPPED
