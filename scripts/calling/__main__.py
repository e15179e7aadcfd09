"""The command line of the traffic: see `scripts/traffic --help`."""

import argparse
import json
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from types import FrameType

from rich.console import Console

from scripts.calling.figures import as_json
from scripts.calling.place import NoBlogError, origin, posts_at
from scripts.calling.telling import Teller
from scripts.walking import photographs
from scripts.walking.cast import Cast, Numbers
from scripts.walking.client import Scene
from scripts.walking.figures import Figures
from scripts.walking.journal import Journal
from scripts.walking.performance import traffic

FAILED, UNUSABLE, INTERRUPTED = 1, 2, 130
LEAST_CLIENTS, MOST_CLIENTS, MOST_S = 6, 100, 4 * 3600
LOOK_S = 0.2
# Readers open the first page, and whether it is whole can be told only while there are more.
FIRST_POSTS = 36
# A step may be moving data at any moment: reads are then of a copy that is a little behind.
STALE_S = 5.0
EPILOG = """\
examples:
  scripts/traffic                              a quarter of an hour, at http://127.0.0.1:8000
  scripts/traffic --seconds 60 --clients 24    more of it, and shorter
  scripts/traffic http://127.0.0.1:9000        where strangler.yaml says `listen: 127.0.0.1:9000`

People read, register, log in, post, comment, upload and pay, each visit from another address of
127.1.0.0/16: the proxy tells callers apart by it, so that a canary gets its share of them. Every
answer is checked. Ctrl-C ends it: what was begun is finished, and the figures are told.

exit codes:
  0    every answer was right
  1    a request failed; the first five are shown
  2    wrong usage, or there is no blog
  130  ended by a second Ctrl-C, without the figures"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make traffic as the command line says; the exit code is returned."""
    given = _parser().parse_args(arguments)
    stopping = threading.Event()
    _end_at_signals(stopping)
    try:
        address = origin(given.url)
        lacking = max(0, FIRST_POSTS - posts_at(address))
    except NoBlogError as missing:
        print(f"traffic: {missing}", file=sys.stderr)
        return UNUSABLE
    try:
        return _run(given, address, lacking, stopping)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(given: argparse.Namespace, address: str, lacking: int, stopping: threading.Event) -> int:
    seed = secrets.randbits(32)  # its people are others than those of the last time
    album = photographs.ordinary(Random(seed))  # noqa: S311 - traffic, not secrets
    figures = Figures()
    scene = Scene(address, Journal(), figures, album, stale_s=STALE_S, others_write=True)
    cast = Cast(scene, seed, [], 0, Numbers.of(given.clients))
    console = Console(stderr=given.json)
    try:
        console.print("everybody gets an account, and the first posts are written")
        cast.join()
        cast.seed_posts(lacking)
        began = time.monotonic()
        teller = Teller(console, figures, given.seconds, time.monotonic)
        with teller, traffic(scene, cast.everyone) as crew:
            while not stopping.wait(LOOK_S) and time.monotonic() - began < given.seconds:
                crew.check()
                teller.look()
    finally:
        cast.close()
    if given.json:
        seconds = time.monotonic() - began
        told = as_json(figures, address, given.clients, seconds)
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        teller.end()
    return FAILED if figures.failures else 0


def _end_at_signals(stopping: threading.Event) -> None:
    """The first one lets every client finish its request; a second one does not wait for them."""

    def end(_number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def _within(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/traffic",
        description="Make traffic against the blog on this machine, as many people would.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("url", nargs="?", default="http://127.0.0.1:8000", metavar="URL", help="where the proxy is")
    add("--seconds", type=_within(1, MOST_S), default=900, help="how long (900)")
    add(
        "--clients",
        type=_within(LEAST_CLIENTS, MOST_CLIENTS),
        default=12,
        help=f"at the same time, {LEAST_CLIENTS} to {MOST_CLIENTS} (12)",
    )
    add("--json", action="store_true", help="print the figures as JSON at the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
