import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.walk, pytest.mark.timeout(300)]


def test_a_short_walk_loses_nothing_there_and_back_and_leaves_no_process(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = (
        "scripts/walk",
        "--seconds",
        "4",
        "--undo",
        "--steps",
        "image",
        "--json",
        str(report),
    )
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    told = json.loads(report.read_text())
    assert told["passed"] is True
    assert (told["failure_count"], told["lost_writes"], told["duplicates"]) == (0, 0, 0)
    assert [step["exit_code"] for step in told["steps"]] == [0, 0]
    assert told["requests"] > 500
    assert all(told["acknowledged"].values())
    assert None not in told["posts_list_p99_ms_while_uploading"].values()
    assert processes_that_mention(str(tmp_path)) == []
    assert list(tmp_path.glob("strangler-walk-*")) == []


def test_an_interrupted_walk_stops_everything_it_started(tmp_path: Path) -> None:
    with subprocess.Popen(
        ("scripts/walk", "--seconds", "60"),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as walk:
        assert walk.stdout is not None
        for line in walk.stdout:
            if "uploading large pictures" in line:
                break
        assert processes_that_mention(str(tmp_path)) != []
        walk.send_signal(signal.SIGINT)
        assert "everything is stopped" in walk.stdout.read()
        assert walk.wait(60) == 130
    assert processes_that_mention(str(tmp_path)) == []


def processes_that_mention(words: str) -> list[str]:
    """Command lines and environments of living processes, as far as they may be read."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if words.encode() in told and int(process.name) != os.getpid():
            found.append(told.decode(errors="replace")[:200])
    return found
