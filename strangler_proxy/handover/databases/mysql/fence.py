"""Fences in MySQL and MariaDB: a row trigger before each operation, and others for cascades.

A trigger reads the fence's row twice. First as any SELECT, so that a writer who is refused keeps no
lock: a statement that fails gives none back before its transaction ends. Then, if that let it pass,
LOCK IN SHARE MODE, which sees the newest row whatever the snapshot of the writer is, and is kept.
So only a writer whose snapshot is older than the fence keeps the mover waiting after its refusal.
Where the binary log holds statements both readings lock. The first reading may be the one that
fixes a writer's snapshot at REPEATABLE READ, which else its own first SELECT would do.

Each reading costs a writer about what its row does. So the first is done once a statement, which
NOW(6) tells apart: where a session sets its own clock it is left out, and a writer who is refused
then keeps the lock. The second is done for each row: nothing cheap tells a transaction from the
next one of its session for certain. As a condition it costs half of what SELECT INTO does; the
first could not be one, for in a condition every reading locks.

What a foreign key deletes or changes fires no trigger, so the tables from which that comes get
triggers too, which refuse what would reach a fenced row. TRUNCATE and ALTER cannot be refused.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from strangler_proxy.handover.databases.fences import (
    about_to_move,
    fence_table,
    fence_trigger,
    has_moved,
    is_fence_trigger,
)
from strangler_proxy.handover.databases.mysql.cascades import (
    all_foreign_keys,
    paths,
    rows_reached,
)
from strangler_proxy.handover.databases.mysql.dialect import MysqlDialect
from strangler_proxy.handover.databases.port import ForeignKey, Session, Side, TableName
from strangler_proxy.handover.databases.triggers import Installed, Trigger

_SQL = MysqlDialect()
# Of no session's time zone, and no statement that a log of statements would find unsafe.
_NOW = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6"
_LOCK = " LOCK IN SHARE MODE"
_TRIGGERS = """
SELECT trigger_schema, trigger_name FROM information_schema.triggers
WHERE trigger_name LIKE 'strangler\\\\_%%\\\\_fence' AND INSTR(action_statement, %s) > 0
"""
_THERE = """
SELECT 1 FROM information_schema.tables
WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s
"""


class MysqlFence:
    """See fences.FenceSql."""

    transactional = False
    now = _NOW

    def tables(self, move: str, home: str | None) -> Sequence[str]:
        """One table of one row."""
        return (
            f"CREATE TABLE IF NOT EXISTS {_in(home, fence_table(move))} "
            "(id INT NOT NULL PRIMARY KEY, state VARCHAR(8) NOT NULL, until DOUBLE NOT NULL) "
            "ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        )

    def drop_tables(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """The fence table."""
        return (f"DROP TABLE IF EXISTS {_in(home, fence_table(move))}",)

    def there(self, session: Session, move: str, home: str | None) -> bool:
        """By information_schema."""
        return bool(session.rows(_THERE, (home, fence_table(move))))

    def triggers(
        self, session: Session, move: str, home: str | None, sides: Sequence[Side]
    ) -> Sequence[Trigger]:
        """Three for each table, and those that cascades need."""
        keys = all_foreign_keys(session, {str(side.table.name.schema) for side in sides})
        fenced = {side.table.name for side in sides}
        made = []
        for side in sides:
            for event in ("INSERT", "UPDATE", "DELETE"):
                made.append(_trigger(move, home, side.table.name, event, ""))
            made += _of_cascades(move, home, side, fenced, keys)
        return made

    def installed(self, session: Session, move: str, home: str | None) -> Sequence[Installed]:
        """By information_schema: of any database, if they look at the fence in this one."""
        table = _in(home, fence_table(move)).replace("%%", "%")
        return [
            Installed(name, True, (f"DROP TRIGGER IF EXISTS {_in(schema, name)}",))
            for schema, name in session.rows(_TRIGGERS, (table,))
            if is_fence_trigger(move, name)
        ]

    @contextmanager
    def alone(self, session: Session, move: str, home: str | None, wait_s: float) -> Iterator[None]:
        """Exclusively locks the row. Waits are counted in whole seconds here, one at least."""
        before = session.scalar("SELECT @@innodb_lock_wait_timeout")
        session.execute("SET innodb_lock_wait_timeout = %s", (max(1, math.ceil(wait_s)),))
        try:
            with session.transaction():
                session.rows(
                    f"SELECT id FROM {_in(home, fence_table(move))} WHERE id = 1 FOR UPDATE"  # noqa: S608
                )
                yield
        finally:
            if session.raw.open:
                session.execute("SET innodb_lock_wait_timeout = %s", (before,))

    @contextmanager
    def aside(self, session: Session, move: str, home: str | None, wait_s: float) -> Iterator[None]:
        """The row can only be changed alone."""
        with self.alone(session, move, home, wait_s):
            yield


def _in(schema: str | None, name: str) -> str:
    return f"{_SQL.quote(schema)}.{_SQL.quote(name)}" if schema else _SQL.quote(name)


def _of_cascades(
    move: str,
    home: str | None,
    side: Side,
    fenced: set[TableName],
    keys: Mapping[TableName, Sequence[ForeignKey]],
) -> Iterator[Trigger]:
    for event in ("DELETE", "UPDATE"):
        for path in paths(side.table.name, keys, event):
            if path[-1][1].to in fenced:
                continue  # it refuses its own writers
            reached = rows_reached(side, path, event)
            yield _trigger(move, home, path[-1][1].to, event, reached, side.table.name)


def _trigger(
    move: str,
    home: str | None,
    table: TableName,
    event: str,
    reached: str,
    fenced: TableName | None = None,
) -> Trigger:
    refusal = _refusal(move, fenced or table)
    if reached:
        # The rows as they are, not as an older snapshot has them.
        met = f"EXISTS (SELECT {reached} LOCK IN SHARE MODE)"
        refusal = f"IF standing <> 'open' THEN IF {met} THEN {refusal} END IF; END IF;"
    look, asked = _look(move, home), f"@strangler_{move}_asked"
    opened = f"(SELECT f.state FROM {_in(home, fence_table(move))} AS f WHERE f.id = 1{_LOCK})"  # noqa: S608
    body = (
        "BEGIN DECLARE standing VARCHAR(8) CHARACTER SET utf8mb4 DEFAULT 'shut'; "
        f"IF NOT (@strangler_mover <=> {_SQL.literal(move)}) THEN "
        f"IF {asked} <=> NOW(6) THEN SET standing = 'open'; ELSE {look}; "
        f"IF standing = 'open' THEN SET {asked} = NOW(6); END IF; END IF; "
        # Not one condition: nobody promises that the second half would not be looked at.
        f"IF standing = 'open' THEN IF NOT ({opened} <=> 'open') THEN "
        f"SET standing = 'shut'; {look}{_LOCK}; END IF; END IF; {refusal} END IF; END"
    )
    name = fence_trigger(move, table, event + body)
    on = f"BEFORE {event} ON {_SQL.table(table)} FOR EACH ROW"
    return Trigger(name, table, (f"CREATE TRIGGER {_in(table.schema, name)} {on} {body}",))


def _look(move: str, home: str | None) -> str:
    return (
        f"SELECT IF(f.state = 'up' AND f.until <= {_NOW}, 'open', f.state) INTO standing "  # noqa: S608
        f"FROM {_in(home, fence_table(move))} AS f WHERE f.id = 1"
    )


def _refusal(move: str, table: TableName) -> str:
    about, gone = (_SQL.literal(say(move, table)) for say in (about_to_move, has_moved))
    return (
        "IF standing = 'up' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = "
        f"{about}; ELSEIF standing <> 'open' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = "
        f"{gone}; END IF;"
    )
