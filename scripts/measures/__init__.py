"""Scripts that measure what docs/course claims.

Each stays on the loopback address, ends by itself within half a minute and stops what it started.
"""
