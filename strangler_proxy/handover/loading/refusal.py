"""Why a database did not take rows: by what its driver raised. Pure, and imports no driver."""

from typing import Any

from strangler_proxy.handover.faults import HandoverRefused

_CLASHES_SQLSTATE = frozenset(("23505", "23503", "23P01"))  # unique, foreign key, exclusion
# Duplicate key, no such parent; and NULL, which the port's upsert makes of another clash.
_CLASHES_MYSQL = frozenset((1048, 1062, 1216, 1452, 1586))
_CLASHES_SQLITE = frozenset((787, 1555, 2067, 2579))  # foreign key, primary key, unique, rowid


class RowsRefused(ValueError):
    """LOAD DATA skipped or altered rows, which only its warnings say."""


def is_refusal(fault: BaseException) -> bool:
    """Whether the rows were at fault, rather than the connection or the statement.

    PEP 249 names these classes; each driver has its own of the same name.
    """
    if isinstance(fault, ValueError | ArithmeticError | HandoverRefused):
        return True
    names = {base.__name__ for base in type(fault).__mro__}
    return bool(names & {"IntegrityError", "DataError"})


def is_clash(fault: BaseException) -> bool:
    """Whether another row is in the way, or one that is referred to is not there yet."""
    if getattr(fault, "sqlstate", None) in _CLASHES_SQLSTATE:
        return True
    if getattr(fault, "sqlite_errorcode", None) in _CLASHES_SQLITE:
        return True
    first: Any = fault.args[0] if fault.args else None
    return "IntegrityError" in type(fault).__name__ and first in _CLASHES_MYSQL
