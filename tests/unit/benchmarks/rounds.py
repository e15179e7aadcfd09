"""A round as any peer may have had it."""

from scripts.benchmarks.figures import Round

ROUND = Round(
    requests=1000,
    seconds=2.0,
    p50_us=100,
    p99_us=900,
    errors=0,
    cpu_us_per_request=20.0,
    core_busy=0.9,
    core_foreign=0.0,
    pss_bytes=5_000_000,
)
