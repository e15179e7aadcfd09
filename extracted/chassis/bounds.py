"""How long a database server is waited for: one that hangs must not hold a thread for good.

What the database's URL says itself stands. SQLite has its own bound, and no server.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

CONNECT_S = 5
LOCK_S = 10
STATEMENT_S = 15
# Sent, and not acknowledged for so long: the machine is gone.
UNSENT_MS = 10_000


def bound_waits(engine: Engine, *, patient: bool) -> None:
    """Bound every wait for the server.

    `patient` leaves out what the server does, for who changes a schema: that takes its time.
    """
    connect = {"psycopg": _connect_psycopg, "pymysql": _connect_pymysql}.get(engine.driver)
    if connect is not None:
        event.listen(engine, "do_connect", lambda _d, _r, _a, told: connect(told, patient))


def _connect_psycopg(told: dict[str, Any], patient: bool) -> Any:
    import psycopg

    from extracted.chassis.bounded_psycopg import BoundedConnection

    told = {"connect_timeout": CONNECT_S, "tcp_user_timeout": UNSENT_MS, **told}
    own = str(told.get("options", ""))
    if patient or "statement_timeout" in own:
        return psycopg.connect(**told)
    bounds = f"-c statement_timeout={STATEMENT_S * 1000} -c lock_timeout={LOCK_S * 1000}"
    return BoundedConnection.connect(**{**told, "options": f"{bounds} {own}".strip()})


def _connect_pymysql(told: dict[str, Any], patient: bool) -> Any:
    import pymysql

    told = {"connect_timeout": CONNECT_S, **told}
    if patient:
        return pymysql.connect(**told)
    locks = f"SET innodb_lock_wait_timeout = {LOCK_S}, lock_wait_timeout = {LOCK_S}"
    bounds = {"read_timeout": STATEMENT_S, "write_timeout": STATEMENT_S, "init_command": locks}
    return pymysql.connect(**{**bounds, **told})
