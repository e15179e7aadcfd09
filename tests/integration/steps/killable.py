"""One run of a real step that kills itself at a chosen record of its ledger.

`killable.py FOLDER PORT DIRECTION POINT MOMENT VERDICT`: SIGKILL at record POINT (1 is the first
of this run, 0 never), MOMENT `before` or `after` it is written, or `torn`, half written. VERDICT
is what the last gate says. Prints the world as it is at the end.
"""

import json
import os
import signal
import sys
from pathlib import Path

from strangler_proxy.steps import Evidence, Stage, Step, Verdict
from strangler_proxy.steps.decision import Direction
from strangler_proxy.steps.engine import Run
from strangler_proxy.steps.gates import Health
from strangler_proxy.steps.http import get_json, health_of
from strangler_proxy.steps.ledger import Ledger, open_ledger
from strangler_proxy.steps.pace import RealPace, stopped_by_signals
from strangler_proxy.steps.parts import FlipRoutes, StartProcess, SwitchSeam


class Mortal(Ledger):
    """Dies at one record."""

    def __init__(self, ledger, point, moment):
        super().__init__(ledger.file, ledger.state)
        self.left, self.moment = point, moment

    def append(self, line):
        self.left -= 1
        if self.left == 0 and self.moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.left == 0 and self.moment == "torn":
            os.write(self.file, line[: len(line) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(line)
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class FileTable:
    """A switchboard whose table is a JSON file."""

    def __init__(self, path):
        self.path = path

    def percents(self, routes):
        table = json.loads(self.path.read_text())
        return {route: table[route] for route in routes}

    def flip(self, routes, percent):
        table = json.loads(self.path.read_text()) | dict.fromkeys(routes, percent)
        self.path.with_suffix(".new").write_text(json.dumps(table))
        self.path.with_suffix(".new").replace(self.path)


class Fixed:
    """A gate that is told its verdict; also while it is waited for."""

    name, criteria, patience_s, interval_s = "fixed", "as told", 60.0, 0.01

    def __init__(self, verdict):
        self.verdict = verdict

    def begin(self, pace):
        return self

    def look(self):
        return Evidence(self.verdict, "as told")


class Quiet:
    def acting(self, text):
        pass

    def looking(self, gate, evidence):
        if gate == "seam/fixed":
            say("looking")

    def result(self, text, verdict):
        pass


def declare(folder, port, verdict):
    origin = f"http://127.0.0.1:{port}"
    well = health_of(origin, "/health", "small")
    service = Path(__file__).with_name("service.py")
    command = (sys.executable, str(service), str(port), str(folder / "seams.json"))
    table = FileTable(folder / "table.json")

    def report():
        return get_json(origin, "/health")["seams"]["image"] if well() is None else None

    small = StartProcess("small", command, folder / "run", well, cwd=folder)
    seam = SwitchSeam("image", "remote", folder / "seams.json", report)
    step = Step(
        "small",
        "Small",
        (
            Stage("service", small, (Health(origin, well, times=2, interval_s=0.02),)),
            Stage("5%", FlipRoutes(("image", "upload"), 5, table)),
            Stage("100%", FlipRoutes(("image", "upload"), 100, table)),
            Stage("seam", seam, (Fixed(Verdict(verdict)),)),
        ),
    )

    def world():
        return {
            "well": well() is None,
            "table": json.loads((folder / "table.json").read_text()),
            "seam": seam.prepare()["before"],
        }

    return step, world


def say(line):
    os.write(1, f"{line}\n".encode())


def main(folder, port, direction, point, moment, verdict):
    step, world = declare(Path(folder), int(port), verdict)
    pace = RealPace()
    with (
        open_ledger(Path(folder) / "ledger.jsonl", direction) as ledger,
        stopped_by_signals(pace),
    ):
        mortal = Mortal(ledger, int(point), moment)
        outcome = Run(step, mortal, pace, Quiet(), {}).to(Direction(direction))
    say(json.dumps({"ending": outcome.ending.name, "text": outcome.text, **world()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
