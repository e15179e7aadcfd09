"""The command `strangler`: reads arguments, calls the part that does the work, shows the outcome.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 no proxy is running; data.py has its
own. What a command needs is imported when it runs, so that the others start at once.
"""

from strangler_proxy.cli import data, files, history, live, serving
from strangler_proxy.cli.app import app

__all__ = ["app", "data", "files", "history", "live", "main", "serving"]


def main() -> None:
    """Run the command line."""
    app()
