"""Side-by-side measurements of the proxy and its peers, run by `scripts/bench`.

`bench gateway` has a folder of its own, `gateway`, and shares the rest with `bench proxy`.

The parts, in the order of a run: `peers` (who is measured and how each is configured), `processes`
(started, pinned, stopped by pid), `upstream` (what all of them forward to), `load` and `wrk` (the
requests), `measure` (figures), `targets` (verdicts), `report` (tables and JSON).
"""
