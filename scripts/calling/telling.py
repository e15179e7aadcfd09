"""Tells people how the traffic goes: a live table on a terminal, plain lines anywhere else."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from scripts.calling.figures import described, lines, shown, told
from scripts.walking.figures import Figures

PLAIN_EVERY_S = 5.0
FAILURES = 5


class Teller:
    """Shows the figures as they grow; use as a context, and call `look` often."""

    def __init__(
        self, console: Console, figures: Figures, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._console = console
        self._figures = figures
        self._clock = clock
        self._until = clock() + seconds
        self._told_at = clock()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._table,
                console=self._console,
                refresh_per_second=1,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def look(self) -> None:
        """Say how it stands, at its own pace."""
        now = self._clock()
        if self._live is None and now - self._told_at >= PLAIN_EVERY_S:
            self._told_at = now
            self._line(f"{told(lines(self._figures)[0])}; {self._left()}")

    def end(self) -> None:
        """Show the whole table, and the first failures in full."""
        self._console.print(table(self._figures))
        for failure in self._figures.failures[:FAILURES]:
            self._line(described(failure), "red")

    def _table(self) -> Table:
        return table(self._figures, f"{self._left()}; Ctrl-C ends it")

    def _left(self) -> str:
        return f"{max(0, self._until - self._clock()):.0f} s to go"

    def _line(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def table(figures: Figures, caption: str | None = None) -> Table:
    """The figures, all requests last."""
    total, *kinds = lines(figures)
    found = Table(caption=caption, show_footer=True)
    cells = (str(total.requests), str(total.failed), shown(total.p50_ms), shown(total.p99_ms))
    found.add_column("request", footer="all")
    for name, cell in zip(("requests", "failed", "p50 ms", "p99 ms"), cells, strict=True):
        found.add_column(name, justify="right", footer=cell)
    for line in kinds:
        p50, p99 = shown(line.p50_ms), shown(line.p99_ms)
        style = "red" if line.failed else None
        found.add_row(line.kind, str(line.requests), str(line.failed), p50, p99, style=style)
    return found
