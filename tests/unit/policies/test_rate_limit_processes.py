"""One limit counted by several real processes, of which some are killed or stopped."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from strangler_proxy.config import LimitStore, RateLimit
from strangler_proxy.policies.rate_limit import RateLimiter, StoreUnusable, shared_bytes

STORE = LimitStore(entries=1024)
ROOT = Path(__file__).parents[3]
START_S = 30.0

# What a process does: says "ready", waits for the word, asks until told, writes a byte for each
# request that was allowed. The time stands still, so that the window never ends.
HAMMER = """
import os, sys
from strangler_proxy.config import LimitStore, RateLimit
from strangler_proxy.policies.rate_limit import RateLimiter
fd, asks, amount = (int(word) for word in sys.argv[1:])
limits = (RateLimit(limit=f"{amount}/hour"), RateLimit(limit="900000000/day", by="route"))
limiter = RateLimiter(LimitStore(entries=1024), fd, lambda: 5000.0)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(asks):
    if limiter.check("upload", limits, (b"ann", b"")).allowed:
        os.write(1, b"+")
"""

# For every line of the table's code, a process that is killed when it comes there, and what the
# next process finds: in the same window, or in the one after it; or what became of another caller
# in the same bucket. The windows are minutes.
DYING = """
import os, signal, sys
from strangler_proxy.config import LimitStore, RateLimit
from strangler_proxy.policies.rate_limit import RateLimiter
LIMITS = (RateLimit(limit="9/minute"),)

def ask(fd, now, caller=b"ann"):
    limiter = RateLimiter(LimitStore(entries=1024), fd, lambda: now)
    told = [limiter.check("upload", LIMITS, (caller,)).headers for _ in range(2)]
    return [int(headers.split()[3]) for headers in told]

def die_at(line):
    seen = 0
    def trace(frame, event, argument):
        nonlocal seen
        if not frame.f_code.co_filename.endswith("shared_memory.py"):
            return None
        if frame.f_code.co_name not in ("_agreed_key", "take", "_count", "_room", "_unlock"):
            return None
        seen += event in ("line", "return")
        if seen == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)

def scene(asked_before, crowd, found_at, caller, line):
    fd = os.memfd_create("limits")
    os.ftruncate(fd, 64 + 512)  # one bucket
    for now in asked_before:
        ask(fd, now)
    for number in range(crowd):
        ask(fd, 6120.0, b"%d" % number)
    child = os.fork()
    if child == 0:
        die_at(line)
        ask(fd, 6120.0)
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    found = ask(fd, found_at, caller)
    print(len(asked_before), crowd, int(found_at), caller.decode(), int(killed), *found)
    os.close(fd)
    return killed

SCENES = [
    (before, crowd, found_at, b"ann")
    for before, crowd in (((), 0), ((6000.0,), 0), ((6000.0, 6060.0), 0), ((), 8))
    for found_at in (6120.0, 6180.0)
] + [((), 8, 6120.0, b"0")]
for of in SCENES:
    line = 1
    while scene(*of, line):
        line += 1
"""

# Holds every lock of the file, until its input ends.
HOLDER = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX, 0, int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def shared() -> Iterator[int]:
    """The memory as a supervisor makes it."""
    fd = os.memfd_create("limits")
    os.ftruncate(fd, shared_bytes(STORE))
    yield fd
    os.close(fd)


class Process:
    """A Python process with the shared memory, started and ready."""

    def __init__(self, code: str, fd: int, *words: int) -> None:
        self.run = subprocess.Popen(
            [sys.executable, "-c", code, str(fd), *map(str, words)],
            pass_fds=(fd,),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def ready(self) -> None:
        """Wait until it is ready."""
        assert self.run.stdout is not None
        assert self.run.stdout.readline() == b"ready\n"

    def go(self) -> None:
        """Give the word."""
        assert self.run.stdin is not None
        self.run.stdin.write(b"\n")

    def allowed(self) -> int:
        """Wait for its end; how many requests it was allowed."""
        output, _ = self.run.communicate(timeout=START_S)
        return output.count(b"+")

    def end(self) -> None:
        """Stop it, whatever it does."""
        self.run.kill()
        with self.run:  # closes its pipes and waits
            pass


class Processes(list[Process]):
    """Processes that are ended with the test."""

    def start(self, count: int, code: str, fd: int, *words: int) -> None:
        """Start so many of a kind, and wait until all are ready."""
        for _ in range(count):
            self.append(Process(code, fd, *words))
        for process in self:
            process.ready()


@pytest.fixture
def processes() -> Iterator[Processes]:
    running = Processes()
    yield running
    for process in running:
        process.end()


def test_as_many_are_allowed_by_four_processes_as_by_one(shared: int, processes: Processes) -> None:
    amount = 2000
    processes.start(4, HAMMER, shared, 1500, amount)
    for process in processes:
        process.go()
    each = [process.allowed() for process in processes]
    assert sum(each) == amount
    assert [process.run.returncode for process in processes] == [0] * 4


def test_processes_killed_at_random_moments_stop_nobody_and_spoil_no_count(
    shared: int, processes: Processes
) -> None:
    # As many as they cannot use up before the last victim is killed; and a pipe holds them.
    amount = 30_000
    dice = random.Random(7)
    processes.start(6, HAMMER, shared, amount, amount)
    victims, survivors = processes[:4], processes[4:]
    for process in processes:
        process.go()
    heard = 0
    for victim in victims:
        assert victim.run.stdout is not None
        for _ in range(dice.randrange(50, 300)):
            assert victim.run.stdout.read(1) == b"+"
            heard += 1
        victim.run.kill()
    heard += sum(process.allowed() for process in processes)
    assert [victim.run.returncode for victim in victims] == [-signal.SIGKILL] * 4
    assert [survivor.run.returncode for survivor in survivors] == [0, 0]
    # Each victim may have been counted once without having said so.
    assert amount - len(victims) <= heard <= amount


def test_killed_at_any_line_it_leaves_the_old_count_or_the_new_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    scenes: dict[tuple[str, ...], list[list[int]]] = {}
    for row in done.stdout.splitlines():
        *scene, killed, first, second = row.split()
        scenes.setdefault(tuple(scene), []).append([int(killed), int(first), int(second)])
    assert len(scenes) == 9
    # Who has to make room keeps the two that it has used of nine, or is forgotten.
    neighbour = [first for _, first, _ in scenes.pop(("0", "8", "6120", "0"))]
    assert sorted(neighbour) == neighbour
    assert set(neighbour) == {6, 8}
    for (asked_before, _, found_at, _), outcomes in scenes.items():
        # Of nine, the window before has used two, if it was asked in and is still near.
        left = 7 if (asked_before, found_at) == ("2", "6120") else 9
        *kills, lived = outcomes
        assert lived == [0, left - 3, left - 4]
        assert len(kills) > 40
        firsts = [first for _, first, _ in kills]
        # Killed ever later: not counted, counted once, counted twice; never anything else.
        assert firsts == sorted(firsts, reverse=True)
        assert set(firsts) == {left - 1, left - 2, left - 3}
        assert all(second == first - 1 for _, first, second in kills)


def test_a_stopped_process_that_holds_a_lock_delays_the_others_once(
    shared: int, processes: Processes
) -> None:
    limiter = RateLimiter(STORE, shared, lambda: 5000.0)
    limits = (RateLimit(limit="3/hour"),)
    processes.start(1, HOLDER, shared, 64)
    began = time.monotonic()
    answers = [limiter.check("upload", limits, (b"ann",)) for _ in range(200)]
    assert time.monotonic() - began < 2  # 200 waits would be 50 s
    assert limiter.unlocked == 200
    assert sum(answer.allowed for answer in answers) == 3
    processes[0].end()
    limiter.check("upload", limits, (b"ann",))
    assert limiter.unlocked == 200
    asyncio.run(limiter.close())


def test_a_lock_that_is_given_back_in_time_is_waited_for(shared: int, processes: Processes) -> None:
    limiter = RateLimiter(STORE, shared, lambda: 5000.0)
    processes.start(1, HOLDER, shared, 64)
    processes[0].go()  # it ends now, while the limiter waits
    assert limiter.check("upload", (RateLimit(limit="3/hour"),), (b"ann",)).allowed
    assert limiter.unlocked == 0
    asyncio.run(limiter.close())


def test_a_new_limiter_on_the_same_memory_goes_on_counting(shared: int) -> None:
    limits = (RateLimit(limit="2/hour"),)
    allowed = []
    for _ in range(3):
        # Other settings after a reload: the memory's own size stands.
        limiter = RateLimiter(LimitStore(entries=4096), shared, lambda: 5000.0)
        allowed.append(limiter.check("upload", limits, (b"ann",)).allowed)
        asyncio.run(limiter.close())
    assert allowed == [True, True, False]


def test_limits_that_compete_for_one_place_do_not_mix_their_counts() -> None:
    # A table of one bucket, full; whoever comes makes room where the route's own limit is.
    fd = os.memfd_create("limits")
    os.ftruncate(fd, 64 + 512)
    limiter = RateLimiter(STORE, fd, lambda: 5000.0)
    everyone, each = RateLimit(limit="9/minute", by="route"), RateLimit(limit="3/day")

    def remaining(limits: tuple[RateLimit, ...], caller: bytes) -> int:
        verdict = limiter.check("upload", limits, (caller,) * len(limits))
        return int(verdict.headers.split()[3])

    for _ in range(5):
        remaining((everyone,), b"")
    for number in range(7):
        remaining((each,), b"%d" % number)
    assert limiter.dropped == 0
    assert remaining((each, everyone), b"new") == 3  # of the nine, the smaller share
    assert limiter.dropped == 1
    assert [remaining((each,), b"new") for _ in range(3)] == [1, 0, 0]
    assert [remaining((each,), b"%d" % number) for number in range(7)] == [1] * 7
    asyncio.run(limiter.close())
    os.close(fd)


def test_memory_that_was_never_sized_is_refused_with_a_reason() -> None:
    fd = os.memfd_create("limits")
    with pytest.raises(StoreUnusable, match=f"0 bytes instead of {shared_bytes(STORE)}"):
        RateLimiter(STORE, fd)
    os.close(fd)
