"""The image step's script against a real proxy, live traffic and doubles of both sides."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from strangler_proxy.config import load
from strangler_proxy.steps.http import health_of
from strangler_proxy.steps.pace import RealPace, wait_until

ROOT = Path(__file__).resolve().parents[3]
DOUBLE = Path(__file__).with_name("blog_double.py")
QUICK = (
    *("--percents", "50", "--watch-s", "0.5", "--patience-s", "30", "--samples", "4"),
    *("--min-requests", "20", "--min-uploads", "5", "--extra-errors", "10%", "--p99-floor-s", "3"),
    *("--soak-s", "0.5"),
)


def free_ports(number):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class Site:
    """A proxy before two doubles of the blog; `load` sends traffic while it lasts."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.front, self.monolith, self.image = free_ports(3)
        self.config = folder / "strangler.yaml"
        self.seams = folder / "seams.json"
        routes = "".join(
            f"  - {{name: {name}, match: {match}, control: monolith, candidate: image,"
            " serve: {sticky: header:x-caller}}\n"
            for name, match in (("image", "GET /images/<name>"), ("upload", "POST /upload"))
        )
        self.config.write_text(
            f"listen: 127.0.0.1:{self.front}\n"
            "upstreams:\n"
            f"  monolith: {{url: http://127.0.0.1:{self.monolith}, health: /health}}\n"
            f"  image: {{url: http://127.0.0.1:{self.image}, health: /health}}\n"
            "default: monolith\n"
            "routes:\n"
            f"{routes}"
            "  - {name: post-create, match: POST /posts, control: monolith}\n"
        )

    def start(self, fault):
        strangler = str(Path(sys.executable).with_name("strangler"))
        double = (sys.executable, str(DOUBLE))
        self._start(*double, str(self.monolith), "monolith", str(self.seams), "none")
        self._start(*double, str(self.image), "image", str(self.seams), fault)
        self._start(strangler, "serve", "-c", str(self.config))
        for port in (self.monolith, self.image, self.front):
            well = health_of(f"http://127.0.0.1:{port}", "/health")
            assert wait_until(lambda well=well: well() is None, 20, RealPace())

    def _start(self, *command):
        self.processes.append(subprocess.Popen(command, cwd=self.folder))

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(30)

    def step(self, *arguments):
        command, options = self.command(*arguments)
        return subprocess.run(command, capture_output=True, timeout=90, check=False, **options)

    def command(self, *arguments):
        """What runs the script, and in which surroundings."""
        command = [sys.executable, str(ROOT / "scripts/step_1_image.py"), "-c", str(self.config)]
        environ = {**os.environ, "SEAMS_FILE": str(self.seams), "PYTHONPATH": str(ROOT)}
        return [*command, *arguments], {"cwd": self.folder, "env": environ, "text": True}

    def execute(self, *more):
        return self.step(*self.executing, *more)

    @property
    def executing(self):
        external = ("--external", f"http://127.0.0.1:{self.image}")
        return ("--execute", "--json", *external, *QUICK)

    def stopped_while(self, stage, *more):
        """Executed until it tells of that stage, and then sent SIGTERM."""
        command, options = self.command(*self.executing, *more)
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options
        ) as run:
            said = next(line for line in run.stderr if f". {stage}/" in line)
            run.terminate()
            rest = run.communicate(timeout=60)
        return subprocess.CompletedProcess(command, run.returncode, rest[0], said + rest[1])

    @property
    def served(self):
        return {r.name: r.serve.candidate_percent for r in load(self.config).routes}

    @property
    def seam(self):
        return json.loads(self.seams.read_text()).get("image") if self.seams.exists() else None


class Traffic:
    """Callers that fetch images, upload and post, until the block ends."""

    def __init__(self, port):
        self.origin, self.over = f"http://127.0.0.1:{port}", threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self._send)
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _send(self):
        caller = 0
        with requests.Session() as session:
            while not self.over.is_set():
                caller += 1
                session.headers["X-Caller"] = str(caller)
                session.get(f"{self.origin}/images/1.jpg", timeout=10)
                session.post(f"{self.origin}/upload", data=b"x", timeout=10)
                session.post(f"{self.origin}/posts", data=b"x", timeout=10)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.stop()


BEFORE = {"image": 0, "upload": 0, "post-create": 0}
AFTER = {"image": 100, "upload": 100, "post-create": 0}


def test_the_step_moves_the_routes_and_the_seam_and_undo_moves_them_back(site):
    site.start("none")
    with Traffic(site.front):
        ended = site.execute()
        assert (ended.returncode, site.served, site.seam) == (0, AFTER, "remote"), ended.stderr
        result = json.loads(ended.stdout)
        assert (result["ending"], result["phase"]) == ("done", "finished")
        again = site.execute()
        assert again.returncode == 0, again.stderr
        undone = site.step("--undo")  # with the options of the attempt, which need not be given
    assert (undone.returncode, site.served, site.seam) == (0, BEFORE, None), undone.stderr


def test_a_candidate_that_fails_uploads_is_found_by_the_canary_and_the_step_falls_back(site):
    site.start("uploads")
    with Traffic(site.front):
        ended = site.execute()
    assert (ended.returncode, site.served, site.seam) == (1, BEFORE, None), ended.stderr
    assert "50%/traffic" in json.loads(ended.stdout)["text"]


def test_a_candidate_that_shows_other_pixels_never_gets_a_single_caller(site):
    site.start("pixels")
    ended = site.execute()
    assert ended.returncode == 1, ended.stderr
    assert "service/answers: GET /images/0.jpg: real difference at pixels" in ended.stderr
    status = site.step("--status", "--json")
    assert json.loads(status.stdout)["phase"] == "idle"
    ledger = (site.folder / ".strangler" / "image.ledger.jsonl").read_text()
    assert '"part":"flip' not in ledger


def test_too_few_images_or_too_little_traffic_stop_the_step_without_a_decision(site):
    site.start("none")
    ended = site.execute("--samples", "50", "--patience-s", "2")
    assert (ended.returncode, site.served) == (3, BEFORE), ended.stderr
    assert "of 102 samples alike" in ended.stderr
    ended = site.execute("--patience-s", "0.5")
    assert ended.returncode == 3, ended.stderr
    assert "requests seen" in ended.stderr
    assert site.served == {"image": 50, "upload": 50, "post-create": 0}
    assert "--undo goes back" in ended.stderr
    assert site.step("--undo").returncode == 0
    assert site.served == BEFORE


def test_a_soak_that_is_stopped_goes_on_from_there_or_goes_all_the_way_back(site):
    site.start("none")
    with Traffic(site.front):
        stopped = site.stopped_while("soak", "--soak-s", "600")
        assert stopped.returncode == 3, stopped.stderr
        status = json.loads(site.step("--status", "--json").stdout)
        soak = next(stage for stage in status["stages"] if stage["name"] == "soak")["gates"][0]
        assert (soak["passed"], soak["noted"]["known"]["image"]["requests"] > 0) == (False, True)
        ended = site.execute()
        assert ended.returncode == 0, ended.stderr
        assert "soak/soak: " in ended.stderr
        assert site.step("--undo").returncode == 0
        site.stopped_while("soak", "--soak-s", "600")
        assert site.step("--undo").returncode == 0
    assert (site.served, site.seam) == (BEFORE, None)


def test_what_cannot_be_used_is_named_and_changes_nothing(site):
    other = site.step("--execute", "--external", "http://127.0.0.1:1")
    assert other.returncode == 2
    assert "--external says http://127.0.0.1:1" in other.stderr
    assert site.step("--percents", "50,25").returncode == 2
    site.config.write_text("upstreams: {}\n")
    broken = site.step("--execute")
    assert broken.returncode == 2
    assert "strangler.yaml" in broken.stderr


def test_the_script_prints_its_plan_through_the_shell_that_prepares_its_environment(site):
    ended = subprocess.run(
        [ROOT / "scripts/step_1_image.py", "-c", site.config.name],
        cwd=site.folder,
        env={**os.environ, "SEAMS_FILE": "seams.json"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "This is the plan; nothing was changed." in ended.stdout
    assert not (site.folder / ".strangler").exists()
