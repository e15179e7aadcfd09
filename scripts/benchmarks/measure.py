"""Takes the figures of one running peer. Reads clocks and /proc; decides nothing."""

import os
import subprocess
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.benchmarks import client, wrk
from scripts.benchmarks.figures import Round
from scripts.benchmarks.peers import Peer, Site
from scripts.benchmarks.processes import (
    await_ready,
    core_busy_s,
    cpu_ns,
    free_port,
    listens,
    peak_rss_bytes,
    pinned,
    pss_bytes,
    tree,
)
from scripts.benchmarks.upstream import Upstreams

START_S = 20.0
IDLE_CONNECTIONS = 5_000
IDLE_OPEN_S = 90.0
UPLOAD_BYTES = 1 << 30
_SETTLE_S = 1.0
_SAMPLE_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements share: the cores, the upstreams and a folder for files."""

    proxy_core: int
    load_cores: frozenset[int]
    upstreams: Upstreams
    folder: Path


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that forwards, and the port it does so on."""

    peer: Peer
    port: int
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        """Its whole process tree, as it is now."""
        return tree(self.process.pid)


@dataclass(frozen=True, slots=True)
class Idle:
    """What idle connections cost."""

    connections: int
    alive: int  # still open when they were counted
    before_bytes: int
    growth_bytes: int


@dataclass(frozen=True, slots=True)
class LongUpload:
    """What one long streamed upload costs."""

    size_bytes: int
    seconds: float
    cpu_s: float
    peak_bytes: int  # PSS, the highest of many samples
    peak_rss_bytes: int  # the kernel's own high-water marks, added up


@contextmanager
def running(
    peer: Peer, executable: str, bench: Bench, *, forwards: bool = True
) -> Iterator[Running]:
    """Start a peer on the proxy's core and, if it forwards, check that it does so rightly.

    Raises NotReadyError when it does not start, client.WrongAnswerError when it forwards wrongly.
    """
    port = free_port()
    folder = bench.folder / f"{peer.name}-{port}"
    folder.mkdir()
    ports = bench.upstreams
    site = Site(port, ports.pages, ports.sink, folder, ports.candidate)
    launch = peer.launch(executable, site)
    log = folder / "output.log"
    with (
        log.open("wb") as output,
        pinned(
            launch.argv, {bench.proxy_core}, env=launch.env, cwd=folder, stdout=output
        ) as process,
    ):
        await_ready(process, log, partial(client.answers if forwards else listens, port), START_S)
        if forwards:
            client.verify(port, wants_request_id=peer.makes_request_id)
        yield Running(peer, port, process)


def measure_round(subject: Running, workload: wrk.Workload, seconds: int, bench: Bench) -> Round:
    """Put a peer under load once; raises wrk.WrkError, OSError when one of its processes ended."""
    pids = subject.pids()
    busy_before, cpu_before, started = core_busy_s(bench.proxy_core), cpu_ns(pids), time.monotonic()
    load = wrk.run(workload, subject.port, seconds, bench.load_cores, bench.folder)
    cpu_s, elapsed = (cpu_ns(pids) - cpu_before) / 1e9, time.monotonic() - started
    busy_s = core_busy_s(bench.proxy_core) - busy_before
    if subject.pids() != pids:
        raise wrk.WrkError("the peer's processes changed during the round: its CPU is not known")
    if not load.requests:
        raise wrk.WrkError("not one request was completed")
    return Round(
        requests=load.requests,
        seconds=load.seconds,
        p50_us=load.p50_us,
        p99_us=load.p99_us,
        errors=load.errors,
        cpu_us_per_request=cpu_s * 1e6 / load.requests,
        core_busy=cpu_s / elapsed,
        core_foreign=max(0.0, busy_s - cpu_s) / elapsed,
        pss_bytes=pss_bytes(pids),
    )


def measure_idle(subject: Running) -> Idle:
    """Open the idle crowd, weigh it, and see that requests still pass.

    Raises WrongAnswerError, OSError.
    """
    before = pss_bytes(subject.pids())
    with client.crowd(subject.port) as crowd:
        crowd.grow(IDLE_CONNECTIONS, IDLE_OPEN_S)
        time.sleep(_SETTLE_S)  # collectors run, and a server that closes idle connections shows it
        growth = pss_bytes(subject.pids()) - before
        alive = crowd.alive()
        if alive == IDLE_CONNECTIONS:
            crowd.try_some()
    return Idle(IDLE_CONNECTIONS, alive, before, growth)


def measure_upload(subject: Running) -> LongUpload:
    """Stream one long body through a fresh peer; raises WrongAnswerError, OSError."""
    client.upload(subject.port, 1 << 20)  # code and buffers that any first upload would load
    pids = subject.pids()
    cpu_before = cpu_ns(pids)
    with _peak_pss(pids) as peak:
        done = client.upload(subject.port, UPLOAD_BYTES)
    return LongUpload(
        size_bytes=done.size_bytes,
        seconds=done.seconds,
        cpu_s=(cpu_ns(pids) - cpu_before) / 1e9,
        peak_bytes=max(peak),
        peak_rss_bytes=peak_rss_bytes(pids),
    )


@contextmanager
def _peak_pss(pids: Collection[int]) -> Iterator[list[int]]:
    """Sample memory until the context ends; the list holds every sample, and at least one."""
    samples = [pss_bytes(pids)]
    ended = threading.Event()

    def sample() -> None:
        with suppress(OSError):  # the process has gone: whoever uses it will say so
            while not ended.wait(_SAMPLE_EVERY_S):
                samples.append(pss_bytes(pids))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield samples
    finally:
        ended.set()
        sampler.join()


def choose_cores() -> tuple[int, frozenset[int]]:
    """The proxy's core, and those of upstream and load; one core is shared if there is but one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1], frozenset(allowed[:-1] or allowed)
