"""Writers that bypass the proxy: `python -m scripts.torturing.bypass NAME SEED HISTORY URL URL`.

One at each side, with words of its own: where the tables are not owned it must be refused, and what
is taken must be kept. Killed at any time, or ends on SIGTERM.
"""

import random
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from scripts.torturing.choosing import Choosing
from scripts.torturing.history import Kind, Operation, append
from scripts.torturing.orphans import end_with_parent
from scripts.torturing.writing import Writer

EVERY_S = 0.03


def write(name: str, url: str, seed: str, out: TextIO, stop: threading.Event) -> None:
    """One operation after another; no reads, since a side that follows may be behind."""
    choosing, writer = Choosing(name, random.Random(seed)), Writer(url)  # noqa: S311 - no secret
    while not stop.wait(EVERY_S):
        kind, word, mark, value = choosing.next()
        if kind == Kind.READ:
            continue
        sent = Operation(name, kind, word, mark, value, time.monotonic())
        append(out, sent)
        outcome, _, told = writer.carry_out(kind, word, mark, value)
        choosing.ended(kind, word, outcome)
        append(out, replace(sent, ended=time.monotonic(), outcome=outcome, told=told))
    writer.close()


def main(name: str, seed: str, history: Path, urls: list[str]) -> None:
    """One thread a side, until told to stop."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    names = [f"bypass{number}-{name}" for number in range(len(urls))]
    outs = [(history / f"{each}.jsonl").open("a", encoding="utf-8") for each in names]
    threads = [
        threading.Thread(target=write, args=(each, url, f"{seed} {each}", out, stop))
        for each, url, out in zip(names, urls, outs, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for out in outs:
        out.close()


if __name__ == "__main__":
    end_with_parent()
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
