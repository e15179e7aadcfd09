"""Small classes that satisfy the ports of a step, for tests of the engine."""

from strangler_proxy.steps import Evidence, PartFailed, Verdict
from strangler_proxy.steps.step import Interrupted


class FakePace:
    """Time that passes only when somebody waits; `stop_at` seconds, it asks to stop."""

    def __init__(self, stop_at=float("inf")):
        self.time = 0.0
        self.stop_at = stop_at

    def now(self):
        return self.time

    def wait(self, seconds):
        self.time += seconds
        if self.time >= self.stop_at:
            raise Interrupted("SIGTERM")


class FakePart:
    """Writes what is done to it into a journal; `world` is what a real part would change."""

    def __init__(self, name, world, *, family=None, fails=None, holds=True, left=None):
        self.name, self.world, self.family = name, world, family
        self.fails, self.still_holds, self.left = fails, holds, left
        self.forward, self.back = f"do {name}", f"undo {name}"

    def prepare(self):
        return {"before": self.world.get(self.name)}

    def execute(self, facts, pace):
        if self.fails == "execute":
            raise PartFailed("it broke")
        self.world[self.name] = "done"
        self.world.setdefault("journal", []).append(f"execute {self.name}")
        return self.left

    def undo(self, facts, pace):
        if self.fails == "undo":
            raise PartFailed("it is stuck")
        self.world[self.name] = facts["before"]
        self.world.setdefault("journal", []).append(f"undo {self.name}")
        return self.left

    def holds(self, facts):
        return self.still_holds


class FakeGate:
    """Gives the verdicts listed, one a look; the last of them for ever."""

    criteria = "the test says so"
    interval_s = 1.0

    def __init__(self, name, *verdicts, patience_s=10.0):
        self.name, self.patience_s = name, patience_s
        self.verdicts = verdicts or (Verdict.PASSED,)

    def begin(self, pace):
        return FakeTrial(list(self.verdicts))


class FakeLongGate(FakeGate):
    """Passes after so many looks in whatever runs; it notes every second one."""

    def __init__(self, name, looks, **more):
        super().__init__(name, **more)
        self.looks = looks

    def begin(self, pace):
        return FakeLongTrial(self.looks, 0)

    def resume(self, pace, noted):
        return FakeLongTrial(self.looks, noted["seen"])


class FakeLongTrial:
    def __init__(self, looks, seen):
        self.looks, self.seen = looks, seen

    def look(self):
        self.seen += 1
        enough = self.seen >= self.looks
        return Evidence(Verdict.PASSED if enough else Verdict.INCONCLUSIVE, f"{self.seen} seen")

    def noted(self):
        return {"seen": self.seen // 2 * 2} if self.seen > 1 else {}


class FakeTrial:
    def __init__(self, verdicts):
        self.verdicts = verdicts

    def look(self):
        verdict = self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]
        return Evidence(verdict, f"{verdict} it is", {"n": 1})


class Silent:
    """A watcher that keeps what it is told."""

    def __init__(self):
        self.told = []

    def acting(self, text):
        self.told.append(text)

    def looking(self, gate, evidence):
        self.told.append(f"{gate} {evidence.verdict}")

    def result(self, text, verdict):
        self.told.append(f"{verdict} {text}")

    def left(self, text):
        self.told.append(f"note {text}")
