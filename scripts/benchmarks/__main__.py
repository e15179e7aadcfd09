"""The command line of `scripts/bench`."""

import argparse
import json
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from scripts.benchmarks import markdown, report
from scripts.benchmarks.gateway import markdown as gateway_markdown
from scripts.benchmarks.gateway import report as gateway_report
from scripts.benchmarks.gateway import run as gateway_run
from scripts.benchmarks.gateway.contenders import CONTENDERS
from scripts.benchmarks.gateway.duties import DUTIES
from scripts.benchmarks.handover import command as handover
from scripts.benchmarks.handover.contenders import CONTENDERS as COPIES
from scripts.benchmarks.install import install
from scripts.benchmarks.peers import PEERS
from scripts.benchmarks.peers.peer import on_path
from scripts.benchmarks.processes import NotReadyError
from scripts.benchmarks.result import Plan, Result
from scripts.benchmarks.run import Progress, run
from scripts.benchmarks.targets import exit_code

_EXAMPLES = """\
examples:
  scripts/bench proxy --install                            bring the peers: apt-get, and .venv-bench
  scripts/bench proxy                                      everything, about six minutes
  scripts/bench proxy --only strangler,haproxy --quick     while developing, about half a minute
  scripts/bench proxy --rounds 9 --seconds 10 --json out.json
  scripts/bench gateway                                    every duty, about eight minutes
  scripts/bench gateway --duties plain,composed --quick    while developing, about half a minute
  scripts/bench handover                                   a million rows, about four minutes
  scripts/bench handover --only strangler,pipe --quick     while developing, about half a minute

exit status: 0 every target met; 1 a target missed; 2 wrong usage; 3 something needed is missing,
so that a target could not be judged. docs/benchmarks.md says what is measured, and what is not.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _options(arguments)
    if options.install:
        return handover.install() if options.command == "handover" else install()
    console = Console(width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, _end)
    if options.command == "handover":
        return handover.measure(options, console)
    nginx = on_path("nginx")()
    missing = [name for name, path in (("nginx", nginx), ("wrk", on_path("wrk")())) if not path]
    if nginx is None or missing:
        print(
            f"bench: needed for any measurement, and missing: {', '.join(missing)}", file=sys.stderr
        )
        print("bench: run scripts/bench proxy --install", file=sys.stderr)
        return 3
    try:
        with Console(stderr=True).status("") as status:
            result = options.measure(options, nginx, status.update)
    except NotReadyError as fault:
        print(f"bench: the upstream that all peers share did not start: {fault}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("bench: interrupted; everything that it started is stopped", file=sys.stderr)
        return 130
    options.show(result, console)
    if options.json:
        options.json.write_text(json.dumps(result.as_json(), indent=1) + "\n")
        console.print(f"written: {options.json}")
    if options.markdown:
        options.markdown.write_text(options.render(result) + "\n")
        console.print(f"written: {options.markdown}")
    return exit_code(result.judgements())


def _proxy(options: argparse.Namespace, nginx: str, progress: Progress) -> Result:
    return run(options.only, _plan(options), nginx, progress)


def _gateway(options: argparse.Namespace, nginx: str, progress: Progress) -> Result:
    return gateway_run.run(options.only, options.duties, _plan(options), nginx, progress)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "gateway":
        options.only = [one for one in options.only if set(one.duties) & set(options.duties)]
        if not options.only:
            parser.error("none of these is measured in any of those duties")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure the project beside its peers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    proxy = _command(
        commands,
        "proxy",
        "the proxy beside nginx, HAProxy, Envoy, Traefik, Caddy and FastAPI + httpx",
        "Measure the proxy and its peers side by side: same upstream, one core each, "
        "interleaved rounds.",
    )
    proxy.set_defaults(measure=_proxy, show=report.show, render=markdown.render)
    _choice(proxy, "--only", {peer.name: peer for peer in PEERS})
    gateway = _command(
        commands,
        "gateway",
        "what a canary, token checks, rate limits and composition cost, beside Envoy and FastAPI",
        "Measure the duties of a gateway, each proven before every round, and what a plain route "
        "costs beside them.",
    )
    gateway.set_defaults(measure=_gateway, show=gateway_report.show, render=gateway_markdown.render)
    _choice(gateway, "--only", {one.peer.name: one for one in CONTENDERS})
    _choice(gateway, "--duties", {duty.name: duty for duty in DUTIES})
    copying = _command(
        commands,
        "handover",
        "the first copy of a move's tables, beside pgloader and a pipe of two psql",
        "Copy a million posts from PostgreSQL and from SQLite into PostgreSQL, by turns; each copy "
        "is proven equal.",
        rounds=handover.ROUNDS,
    )
    copying.add_argument("--rows", type=_rows, help="rows of the table (1,000,000)")
    _choice(copying, "--only", {one.name: one for one in COPIES})
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    description: str,
    rounds: int = 5,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--rounds", type=_positive, help=f"rounds of the main workloads ({rounds})"
    )
    if name != "handover":
        command.add_argument("--seconds", type=_positive, help="seconds of each such round (4)")
    command.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    command.add_argument("--json", type=Path, metavar="FILE", help="write every raw round here")
    command.add_argument("--markdown", type=Path, metavar="FILE", help="write tables as Markdown")
    command.add_argument("--install", action="store_true", help="install the peers and end")
    return command


def _choice(command: argparse.ArgumentParser, option: str, known: dict[str, Any]) -> None:
    """Let some of these be chosen by name; all of them are otherwise."""
    everything = list(known.values())
    command.add_argument(
        option,
        type=partial(_chosen, known),
        default=everything,
        metavar="A,B",
        help=",".join(known),
    )


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


def _rows(text: str) -> int:
    number = int(text)
    if not 1_000 <= number <= 100_000_000:
        raise argparse.ArgumentTypeError("from 1000 to 100000000")
    return number


def _chosen(known: dict[str, Any], text: str) -> list[Any]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = sorted(set(names) - known.keys())
    if unknown or not names:
        complaint = f"unknown: {', '.join(unknown) or text}; known: {', '.join(known)}"
        raise argparse.ArgumentTypeError(complaint)
    return [one for name, one in known.items() if name in names]


def _end(_signal: int, _frame: object) -> NoReturn:
    """Leave through every `finally`, so that nothing stays behind."""
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
