"""How long something takes, for people. Pure."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def spelled(seconds: float) -> str:
    """In its two largest units, rounded to whole ones of the smaller: `90 s`, `23 h 5 min`, `7 d`.

    Below two minutes in seconds alone, with their fraction where there is one (`0.5 s`).
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    large = next(i for i, (unit, _) in enumerate(_UNITS) if seconds >= unit)
    (unit, name), (part, small) = _UNITS[large : large + 2]
    whole, rest = divmod(round(seconds / part) * part, unit)
    return f"{whole} {name}" + (f" {rest // part} {small}" if rest else "")
