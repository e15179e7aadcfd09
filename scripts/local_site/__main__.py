"""The blog behind the proxy on this machine, on the default ports, with its data under var/.

Started in the foreground it stays until Ctrl-C, and starts services again that end by themselves;
`--detach` leaves it running. `--status` and `--down` find it again by the process ids and start
times in var/processes.json. The processes are those of deploy/Procfile. The secrets in var/env are
made once, and kept, so that tokens and pictures stay good over a restart; what is changed there by
hand is kept as well. What the steps have moved is started by their own parts (scripts/moved.py).
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from scripts.local_site import runner, status
from scripts.local_site.site import UNREADABLE, Site, UnusableError
from scripts.processes import ROOT
from strangler_proxy.config import load

UNUSABLE = 2
EPILOG = """\
examples:
  scripts/up                         stay with it until Ctrl-C; what a step has moved out and
                                     ends by itself is started again
  scripts/up --detach                leave it running
  scripts/up --status --json         which programs run, with pids, ports and logs
  scripts/up --down                  stop it all; the data stays in var/
  AUTH_DATABASE_URL=postgresql+psycopg://blog@db/auth BROKER_URL=amqp://guest:guest@mq/ scripts/up
                                     on servers of your own: what is given at the first start is
                                     kept in var/env. What S3_ENDPOINT_URL, SMTP_URL and
                                     STRIPE_API_BASE lead to elsewhere needs no stand-in here
  OBJECT_STORE_PORT=9100 scripts/up  a stand-in on another port, at the first start

To change a port or a setting later, edit strangler.yaml or var/env. docs/up.md tells more.

exit codes:
  0  done; with --status: all that has to run does
  1  a program could not be started or has ended, and what was started is stopped;
     with --status: something that has to run does not, or nothing runs
  2  the command line, strangler.yaml, the environment or a ledger is not usable, or it runs
     already; nothing was started"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code is returned."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.json and not given.status:
        parser.error("--json goes with --status")
    signal.signal(signal.SIGTERM, _interrupt)
    routes = ROOT / "strangler.yaml" if given.config is None else given.config.resolve()
    try:
        site = Site(given.dir.resolve(), routes, load(routes))
        site.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # has hashes and addresses
        if given.down:
            return runner.take_down(site, _say)
        if given.status:
            return status.tell(site, _say, as_json=given.json)
        return runner.bring_up(site, dict(os.environ), detach=given.detach, say=_say)
    except (UnusableError, *UNREADABLE) as wrong:
        print(f"up: {wrong}", file=sys.stderr if given.json else sys.stdout, flush=True)
        return UNUSABLE


def _say(text: str) -> None:
    print(text, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/up",
        description="Start the blog behind the proxy, with stand-ins for S3, SMTP and Stripe.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--detach", action="store_true", help="leave it running")
    what.add_argument("--status", action="store_true", help="say what runs")
    what.add_argument("--down", action="store_true", help="stop what --detach left running")
    parser.add_argument("--json", action="store_true", help="with --status: as JSON")
    parser.add_argument(
        "--dir", type=Path, default=ROOT / "var", help="data, logs and secrets (var)"
    )
    parser.add_argument(
        "-c", "--config", type=Path, help="the proxy's configuration (strangler.yaml)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
