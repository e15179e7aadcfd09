"""What the SQL of every database needs to know of a cell. Pure."""

from strangler_proxy.handover.databases.port import Cell


def hyphened(digits: str) -> list[str]:
    """SQL of a UUID's groups of these 32 digits, and of the hyphens between them."""
    at = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    groups = [f"substr({digits}, {start}, {length})" for start, length in at]
    return [part for group in groups for part in (group, "'-'")][:-1]


def declared_as(cell: Cell) -> str:
    """The type that its column was declared with, or nothing."""
    return cell.column.declared if cell.column else ""
