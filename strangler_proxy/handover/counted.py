"""Numbers of things in words: one row differs, two rows differ. Pure."""


def counted(number: int, one: str = "row", many: str | None = None) -> str:
    """So many of something; `many` is `one` with an s where it is not given."""
    return f"1 {one}" if number == 1 else f"{number:,} {many or f'{one}s'}"
