"""`python -m strangler_proxy` is the command `strangler`."""

from strangler_proxy.cli import main

main()
