"""What an error of the server or the driver means for a move. Pure.

Numbers: the error references of MySQL 8.0 and MariaDB.
"""

import pymysql
from pymysql.constants import ER

from strangler_proxy.handover.faults import (
    Clash,
    DatabaseUnreachable,
    HandoverFault,
    HandoverRefused,
    LockBusy,
)

_BUSY = (ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK)
_LATE = (1969, 3024)  # MariaDB's max_statement_time, MySQL's max_execution_time
_LOST = (1053, 1927, 2006, 2013, 2014, 2055)  # shutdown, killed, gone away, lost
_UNTRUSTED = 1419  # BINLOG_CREATE_ROUTINE_NEED_SUPER


def meaning(fault: pymysql.err.MySQLError, shown: str, connected: bool) -> HandoverFault | None:
    """The fault of a move that this is; None where it is none that is expected."""
    code = fault.args[0] if fault.args else 0
    if code in _BUSY:
        return LockBusy(f"{shown}: {words(fault)}")
    if isinstance(fault, pymysql.err.IntegrityError):
        return Clash(f"{shown}: {words(fault)}")
    if code in _LATE:
        return HandoverFault(f"{shown}: {words(fault)}")
    if code == _UNTRUSTED:
        return HandoverRefused(
            f"{shown} keeps a binary log and lets this account make no triggers: set "
            "log_bin_trust_function_creators = 1 at the server, or use an account with SUPER"
        )
    if code in _LOST or not connected:
        return DatabaseUnreachable(f"{shown} went away: {words(fault)}")
    return None


def words(fault: Exception) -> str:
    """What the server said."""
    return str(fault.args[-1]) if fault.args else str(fault)
