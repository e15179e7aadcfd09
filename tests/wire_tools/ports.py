"""Ports of this machine."""

from scripts.processes import free_ports


def free_port() -> int:
    """One where nobody listens, until somebody takes it."""
    return free_ports(1)[0]
