"""Runs wrk and reads its figures. One run is bounded by its own duration and a margin.

A Lua `done` hook prints the exact counts, because wrk's own text rounds them. The hook runs once
after the load has stopped. Lua runs per request only where requests differ, and then only to take
the next of those that were written before the load began.
"""

import json
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks.processes import pinned

MARGIN_S = 20
_MARK = "bench-figures "
_DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'bench-figures {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""
_TURNS = """
local field, values = "%s", [[
%s
]]
local requests, turn = {}, 0
init = function()
  for value in values:gmatch("[^\\n]+") do
    requests[#requests + 1] = wrk.format(nil, nil, { [field] = value })
  end
end
request = function()
  turn = turn %% #requests + 1
  return requests[turn]
end
"""


class WrkError(Exception):
    """wrk did not end as it should, or its figures could not be read."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request, repeated over a number of kept-alive connections."""

    name: str
    title: str
    path: str
    connections: int
    body_bytes: int = 0  # a POST of this many bytes; 0 is a GET
    header: tuple[str, tuple[str, ...]] | None = None  # a field of a GET whose values take turns

    def script(self) -> str:
        """The Lua that makes wrk send this request and print its figures."""
        if self.header is not None:
            return _TURNS % (self.header[0], "\n".join(self.header[1])) + _DONE
        if not self.body_bytes:
            return _DONE
        return (
            'wrk.method = "POST"\n'
            f'wrk.headers["X-Expected-Bytes"] = "{self.body_bytes}"\n'
            f'wrk.body = string.rep("x", {self.body_bytes})\n{_DONE}'
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw in one run."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int


def parse(output: str) -> Load:
    """Read the line that the hook printed; raises WrkError when there is none to read."""
    line = next((one for one in output.splitlines() if one.startswith(_MARK)), None)
    if line is None:
        raise WrkError(f"wrk printed no figures: {output.strip()[-400:] or '(nothing)'}")
    try:
        found = json.loads(line.removeprefix(_MARK))
        errors = sum(found[kind] for kind in ("connect", "read", "write", "status", "timeout"))
        seconds = found["duration_us"] / 1e6
        return Load(found["requests"], seconds, found["p50_us"], found["p99_us"], errors)
    except (ValueError, KeyError, TypeError) as fault:
        raise WrkError(f"wrk's figures could not be read: {line}") from fault


def run(workload: Workload, port: int, seconds: int, cores: Collection[int], folder: Path) -> Load:
    """Put a peer under load for so many seconds; raises WrkError."""
    script = folder / f"wrk-{workload.name}.lua"
    script.write_text(workload.script())
    argv = ["wrk", "-t", "1", "-c", str(workload.connections), "-d", f"{seconds}s"]
    argv += ["--timeout", "10s", "-s", str(script), f"http://127.0.0.1:{port}{workload.path}"]
    with pinned(argv, cores, stdout=subprocess.PIPE) as process:
        try:
            output, _ = process.communicate(timeout=seconds + MARGIN_S)
        except subprocess.TimeoutExpired:
            raise WrkError(f"wrk did not end {MARGIN_S} s after its time was up") from None
    text = output.decode(errors="replace")
    if process.returncode != 0:
        raise WrkError(f"wrk ended with {process.returncode}: {text.strip()[-400:]}")
    return parse(text)
