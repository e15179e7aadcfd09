"""Whether a database did not take rows, by what was raised. Pure, and imports no driver."""

from strangler_proxy.handover.faults import Clash, HandoverRefused

_MYSQL_VALUES = (1292,)
"""Errors about a value that PyMySQL does not call DataError: 'Incorrect uuid value' and alike."""


class RowsRefused(ValueError):
    """LOAD DATA skipped or altered rows, which only its warnings say."""


def is_refusal(fault: BaseException) -> bool:
    """Whether the rows were at fault, rather than the connection or the statement.

    PEP 249 names the classes of drivers; each driver has its own of the same name.
    """
    if isinstance(fault, Clash | HandoverRefused | ValueError | ArithmeticError):
        return True
    if fault.args and fault.args[0] in _MYSQL_VALUES:
        return True
    names = {base.__name__ for base in type(fault).__mro__}
    return bool(names & {"IntegrityError", "DataError"})
