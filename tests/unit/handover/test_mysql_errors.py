"""What errors of MySQL mean for a move."""

from __future__ import annotations

import pymysql
import pytest

from strangler_proxy.handover.databases.mysql.errors import meaning
from strangler_proxy.handover.faults import (
    Clash,
    DatabaseUnreachable,
    HandoverFault,
    HandoverRefused,
    LockBusy,
)

FAULTS = [
    (pymysql.err.OperationalError(1213, "Deadlock found"), LockBusy),
    (pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"), LockBusy),
    (pymysql.err.IntegrityError(1062, "Duplicate entry '1'"), Clash),
    (pymysql.err.OperationalError(3024, "maximum statement execution time"), HandoverFault),
    (pymysql.err.OperationalError(1419, "You do not have the SUPER privilege"), HandoverRefused),
    (pymysql.err.OperationalError(2013, "Lost connection"), DatabaseUnreachable),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=lambda value: str(value)[:24])
def test_an_error_is_told_as_what_it_means(
    fault: pymysql.err.MySQLError, kind: type[HandoverFault]
) -> None:
    told = meaning(fault, "mysql://blog", connected=True)
    assert type(told) is kind
    assert "mysql://blog" in str(told)


def test_whatever_is_said_over_a_connection_that_is_gone_means_that_it_is_gone() -> None:
    fault = pymysql.err.OperationalError(1146, "Table 'x' doesn't exist")
    assert meaning(fault, "blog", connected=True) is None
    assert type(meaning(fault, "blog", connected=False)) is DatabaseUnreachable


def test_a_server_that_lets_nobody_make_triggers_is_told_with_the_setting_that_does() -> None:
    fault = pymysql.err.OperationalError(1419, "You do not have the SUPER privilege")
    assert "log_bin_trust_function_creators = 1" in str(meaning(fault, "blog", connected=True))
