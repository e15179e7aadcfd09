"""Side-by-side measurements of the proxy and its peers, run by `scripts/bench`.

The parts, in the order of a run: `peers` (who is measured and how each is configured), `processes`
(started, pinned, stopped by pid), `upstream` (what all of them forward to), `load` and `wrk` (the
requests), `measure` (figures), `targets` (verdicts), `report` (tables and JSON).
"""
