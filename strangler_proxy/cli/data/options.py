"""The options and arguments of the commands about data, each with its words and bounds."""

from pathlib import Path
from typing import Annotated

import typer

MoveArgument = Annotated[str, typer.Argument(metavar="MOVE", help="Its name in moves.yaml.")]
MovesPath = Annotated[
    Path, typer.Option("-m", "--moves", help="The file of moves.", envvar="STRANGLER_MOVES")
]
DEFAULT_MOVES = Path("moves.yaml")
LedgersPath = Annotated[
    Path | None,
    typer.Option(
        "--ledgers",
        help="The folder of what moves have done (.strangler beside the file of moves).",
        envvar="STRANGLER_LEDGERS",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Execute = Annotated[
    bool, typer.Option("--execute", help="Do it; without this only the plan and what stands by.")
]
HoldSeconds = Annotated[
    float,
    typer.Option(min=0.2, max=30, help="How long writers may wait; past it everything goes back."),
]
DrainSeconds = Annotated[
    float, typer.Option(min=0.05, max=30, help="Wait so long for requests sent before the hold.")
]
WritersSeconds = Annotated[
    float, typer.Option(min=0.05, max=30, help="Wait so long for transactions that are open.")
]
CatchUpSeconds = Annotated[
    float, typer.Option(min=1, help="Give the tail so long to come near, before the hold.")
]
SkipVerify = Annotated[
    bool,
    typer.Option(
        "--skip-verify",
        help="Do not verify all rows before the hold; those that change meanwhile always are.",
    ),
]
DespiteWriters = Annotated[
    bool,
    typer.Option(
        "--despite-writers",
        help="Go on though somebody may bypass the proxies, whom the fence will refuse.",
    ),
]
