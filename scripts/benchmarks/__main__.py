"""The command line of `scripts/bench`."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from scripts.benchmarks import markdown, report
from scripts.benchmarks.install import install
from scripts.benchmarks.peers import PEERS, Peer
from scripts.benchmarks.peers.peer import on_path
from scripts.benchmarks.processes import NotReadyError
from scripts.benchmarks.result import Plan
from scripts.benchmarks.run import run
from scripts.benchmarks.targets import exit_code

_EPILOG = """\
examples:
  scripts/bench proxy --install                            bring the peers: apt-get, and .venv-bench
  scripts/bench proxy                                      everything, about six minutes
  scripts/bench proxy --only strangler,haproxy --quick     while developing, about half a minute
  scripts/bench proxy --rounds 9 --seconds 10 --json out.json

exit status: 0 every target met; 1 a target missed; 2 wrong usage; 3 something needed is missing,
so that a target could not be judged. docs/benchmarks.md says what is measured, and what is not.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    if options.install:
        return install()
    console = Console(width=None if sys.stdout.isatty() else 160)
    nginx = on_path("nginx")()
    missing = [name for name, path in (("nginx", nginx), ("wrk", on_path("wrk")())) if not path]
    if nginx is None or missing:
        print(
            f"bench: needed for any measurement, and missing: {', '.join(missing)}", file=sys.stderr
        )
        print("bench: run scripts/bench proxy --install", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, _end)
    try:
        with Console(stderr=True).status("") as status:
            result = run(options.only, _plan(options), nginx, status.update)
    except NotReadyError as fault:
        print(f"bench: the upstream that all peers share did not start: {fault}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("bench: interrupted; everything that it started is stopped", file=sys.stderr)
        return 130
    report.show(result, console)
    if options.json:
        options.json.write_text(json.dumps(result.as_json(), indent=1) + "\n")
        console.print(f"written: {options.json}")
    if options.markdown:
        options.markdown.write_text(markdown.render(result) + "\n")
        console.print(f"written: {options.markdown}")
    return exit_code(result.judgements())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure the project beside its peers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    proxy = commands.add_parser(
        "proxy",
        help="the proxy beside nginx, HAProxy, Envoy, Traefik, Caddy and FastAPI + httpx",
        description="Measure the proxy and its peers side by side: same upstream, one core each, "
        "interleaved rounds.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ",".join(peer.name for peer in PEERS)
    proxy.add_argument("--rounds", type=_positive, help="rounds of the main workload (5)")
    proxy.add_argument("--seconds", type=_positive, help="seconds of each such round (4)")
    proxy.add_argument("--only", type=_peers, default=list(PEERS), metavar="A,B", help=names)
    proxy.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    proxy.add_argument("--json", type=Path, metavar="FILE", help="write every raw round here")
    proxy.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    proxy.add_argument("--install", action="store_true", help="install the peers and end")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    plan = Plan.quick() if options.quick else Plan()
    return Plan(
        rounds=options.rounds or plan.rounds,
        seconds=options.seconds or plan.seconds,
        large_rounds=plan.large_rounds,
        large_seconds=plan.large_seconds,
    )


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 600:
        raise argparse.ArgumentTypeError("from 1 to 600")
    return number


def _peers(text: str) -> list[Peer]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = sorted(set(names) - {peer.name for peer in PEERS})
    if unknown or not names:
        known = ", ".join(peer.name for peer in PEERS)
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown) or text}; known: {known}")
    return [peer for peer in PEERS if peer.name in names]


def _end(_signal: int, _frame: object) -> NoReturn:
    """Leave through every `finally`, so that nothing stays behind."""
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
