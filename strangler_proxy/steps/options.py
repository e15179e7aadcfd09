"""The options of a step script: a frozen dataclass, its fields described by `option`.

An attempt remembers its options in the ledger, so that `--undo` and a resumed `--execute` need
none: what is given on the command line comes before what is remembered, and that before defaults.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields
from typing import Any


def option(
    default: Any,
    help: str,  # noqa: A002 - as argparse names it
    *,
    parse: Callable[[str], Any] = str,
    metavar: str | None = None,
    many: bool = False,
) -> Any:
    """A field of an options class. `many` collects a repeated option into a tuple."""
    metadata = {"help": help, "parse": parse, "metavar": metavar, "many": many}
    return field(default=default, metadata=metadata)


def add_options(parser: argparse.ArgumentParser, options: type[Any]) -> None:
    """Give the parser an option for every field; one that is not given leaves no trace."""
    group = parser.add_argument_group("options of this step")
    for each in fields(options):
        described = each.metadata
        group.add_argument(
            f"--{each.name.replace('_', '-')}",
            dest=each.name,
            action="append" if described["many"] else "store",
            type=described["parse"],
            metavar=described["metavar"],
            default=argparse.SUPPRESS,
            help=described["help"] + _default_in_words(each),
        )


def choose(options: type[Any], remembered: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """An options object: given before remembered before default. Lists become tuples."""
    known = {each.name for each in fields(options)}
    merged = {**remembered, **given}
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in merged.items()
        if name in known
    }
    return options(**values)


def _default_in_words(each: Field[Any]) -> str:
    default = each.default
    if default is None or default == ():
        return ""
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    return f" (default: {default})".replace("%", "%%")


def percents(text: str) -> tuple[int, ...]:
    """Read `5,25,50`: rising percentages below 100."""
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or list(values) != sorted(set(values)) or not 0 < values[0] <= values[-1] < 100:
        raise argparse.ArgumentTypeError(f"{text!r}: write rising percentages such as 5,25,50")
    return values


def positive(text: str) -> float:
    """Read a number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return value


def seconds(text: str) -> float:
    """Read a number, zero or above."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, zero or above")
    return value


def count(text: str) -> int:
    """Read a whole number, one or more."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of one or more")
    return int(text)


def percent(text: str) -> float:
    """Read `1%` or `0.01` as a fraction above zero and below one."""
    number = text.removesuffix("%")
    value = positive(number) / (100 if text.endswith("%") else 1)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: write a fraction such as 1% or 0.01")
    return value
