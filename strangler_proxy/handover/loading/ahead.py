"""Reading ahead: one thread makes items while another uses them, a bounded number between them.

A fault on either side ends both. The maker's fault is raised to the user; when the user leaves, by
a fault or by Ctrl-C, the maker ends after the item that it is at.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _End:
    fault: BaseException | None


@contextmanager
def ahead(make: Callable[[threading.Event], Iterator[T]], depth: int = 2) -> Iterator[Iterator[T]]:
    """What `make` yields, made in a thread; it is given an event that is set when it should stop.

    `make` runs in that thread from its first line to its last, so a connection that it opens and
    closes belongs to it alone. Leaving the block waits for it to end.
    """
    items: queue.Queue[_Item[T] | _End] = queue.Queue(depth)
    stop = threading.Event()
    maker = threading.Thread(target=_run, args=(make, items, stop), name="reader", daemon=True)
    maker.start()
    try:
        yield _received(items)
    finally:
        stop.set()
        while maker.is_alive():
            try:
                items.get(timeout=_LOOK_S)  # so that it is not stuck at a full queue
            except queue.Empty:
                continue


def _run(
    make: Callable[[threading.Event], Iterator[T]],
    items: "queue.Queue[_Item[T] | _End]",
    stop: threading.Event,
) -> None:
    end = _End(None)
    try:
        made = make(stop)
        try:
            for value in made:
                items.put(_Item(value))
                if stop.is_set():
                    break
        finally:
            getattr(made, "close", lambda: None)()
    except BaseException as fault:  # noqa: BLE001 - it is raised again where it is received
        end = _End(fault)
    items.put(end)


def _received(items: "queue.Queue[_Item[T] | _End]") -> Iterator[T]:
    while True:
        item = items.get()
        if isinstance(item, _End):
            if item.fault is not None:
                raise item.fault
            return
        yield item.value
