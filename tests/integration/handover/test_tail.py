"""The target becomes what the source is, whatever happens between, for every pair of databases."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from strangler_proxy.handover import fingerprint
from strangler_proxy.handover.capture import Capture, Patience
from strangler_proxy.handover.databases.port import Pair, Session, TableName
from strangler_proxy.handover.faults import HandoverRefused, LockBusy
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.tail import Tail
from tests.integration.handover.conftest import PAIRS, SERVERS, Place, kind_param, pair_param
from tests.integration.handover.tables import ROW, ROWS, WIDE, rows_of, wide_side, write_rows

Make = Callable[[str], Place]
QUICK = Patience(lock_s=1.0, pause_s=0.01, whole_s=30.0)
SAME = [pair_param(kind, kind) for kind in ("sqlite", *SERVERS)]
T = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER UNIQUE)"


@dataclass
class Moving:
    """A move under way between two databases; the writer is an application of the source."""

    source: Place
    target: Place
    writer: Session
    reader: Session
    pairs: tuple[Pair, ...]
    capture: Capture
    tail: Tail

    def drain(self) -> None:
        """Apply all that waits."""
        while self.tail.step().entries:
            pass

    def same(self, which: int = 0) -> bool:
        """Whether both sides of a table have the same rows."""
        pair = self.pairs[which]
        return rows_of(self.writer, pair.source) == rows_of(self.reader, pair.target)


def move_of(*tables: dict[str, Any]) -> Move:
    return Move.model_validate(
        {"name": "m", "source_env": "A", "target_env": "B", "tables": list(tables)}
    )


def moving(
    places: tuple[Place, Place], sources: list[str], targets: list[str], *tables: dict[str, Any]
) -> Moving:
    """Both schemas made, capture installed, and a tail ready."""
    source, target = places
    writer, reader = source.writer(*sources), target.writer(*targets)
    pairs = pair_tables(move_of(*tables), writer, reader)
    capture = Capture(source.database, "m", [pair.source for pair in pairs])
    capture.install(QUICK)
    tail = Tail("m", pairs, capture, source.session("m"), target.session("m"))
    return Moving(source, target, writer, reader, pairs, capture, tail)


@pytest.fixture(params=PAIRS)
def places(request: pytest.FixtureRequest, place: Make) -> tuple[Place, Place]:
    source, target = request.param
    return place(source), place(target)


@pytest.fixture(params=SAME)
def alike(request: pytest.FixtureRequest, place: Make) -> tuple[Place, Place]:
    source, target = request.param
    return place(source), place(target)


def test_every_value_arrives_and_every_change_follows(places: tuple[Place, Place]) -> None:
    source, target = places
    it = moving(places, [WIDE[source.kind]], [WIDE[target.kind]], {"table": "wide"})
    side = wide_side(it.writer)
    write_rows(it.writer, side, ROWS)
    it.drain()
    assert rows_of(it.reader, wide_side(it.reader)) == rows_of(it.writer, side)
    write_rows(it.writer, side, [(*ROWS[0][:2], *ROWS[2][2:]), (*ROWS[2][:2], *[None] * 9)])
    it.writer.execute(it.writer.dialect.delete(side, 1), ROWS[1][:2])
    it.writer.execute("UPDATE wide SET id = 70 WHERE id = 7")
    it.writer.execute("UPDATE wide SET code = 'a ' WHERE code = 'A'")
    it.drain()
    assert len(rows_of(it.reader, it.pairs[0].target)) == 3
    assert it.same()


def test_many_random_changes_with_steps_between_end_alike(places: tuple[Place, Place]) -> None:
    rng = random.Random(7)
    it = moving(places, [T], [T], {"table": "t"})
    for _ in range(300):
        key, other, value = rng.randrange(20), rng.randrange(20), rng.randrange(30)
        statement = rng.choice(
            [
                f"INSERT INTO t SELECT {key}, {value} FROM (SELECT 1 AS one) AS x WHERE NOT EXISTS "
                f"(SELECT 1 FROM t WHERE id = {key} OR n = {value})",
                f"DELETE FROM t WHERE id = {key}",
                f"UPDATE t SET n = NULL WHERE id = {key}",
                f"UPDATE t SET id = {other + 50} WHERE id = {key}",
                f"DELETE FROM t WHERE id > {other + 40}",
            ]
        )
        it.writer.execute(statement)
        if rng.random() < 0.1:
            it.tail.step(rng.randrange(1, 5))
    it.drain()
    assert rows_of(it.writer, it.pairs[0].source)
    assert it.same()


def test_two_rows_may_exchange_a_unique_value_whatever_a_step_takes(
    alike: tuple[Place, Place],
) -> None:
    it = moving(alike, [T], [T], {"table": "t"})
    it.writer.execute("INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)")
    it.drain()
    with it.writer.transaction():
        it.writer.execute("UPDATE t SET n = NULL WHERE id = 3")
        it.writer.execute("UPDATE t SET n = 30 WHERE id = 1")
        it.writer.execute("UPDATE t SET n = 10 WHERE id = 2")
        it.writer.execute("UPDATE t SET n = 20 WHERE id = 3")
    it.tail.step(1)
    it.drain()
    assert it.same()


def test_a_row_that_clashes_with_one_that_is_only_at_the_target_stops_the_move(
    alike: tuple[Place, Place],
) -> None:
    it = moving(alike, [T], [T], {"table": "t"})
    it.reader.execute("INSERT INTO t VALUES (9, 10)")
    it.writer.execute("INSERT INTO t VALUES (1, 10)")
    with pytest.raises(HandoverRefused, match="cannot take a changed row"):
        it.drain()
    assert it.reader.rows("SELECT id, n FROM t") == [(9, 10)]
    assert it.capture.backlog(it.writer).entries == 1


def test_rows_that_refer_to_each_other_in_a_circle_arrive(alike: tuple[Place, Place]) -> None:
    circle = [
        "CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, b_id INTEGER, up INTEGER, "
        "FOREIGN KEY (up) REFERENCES a (id))",
        "CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY, a_id INTEGER, "
        "FOREIGN KEY (a_id) REFERENCES a (id))",
    ]
    if alike[0].kind == "sqlite":  # a reference may be made before its table
        circle[0] = circle[0][:-1] + ", FOREIGN KEY (b_id) REFERENCES b (id))"
    else:
        circle.append("ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b (id)")
    it = moving(alike, circle, circle, {"table": "a"}, {"table": "b"})
    it.writer.execute("INSERT INTO a VALUES (2, NULL, NULL)")
    it.writer.execute("INSERT INTO a VALUES (1, NULL, 2)")
    it.writer.execute("INSERT INTO b VALUES (1, 1)")
    it.writer.execute("UPDATE a SET b_id = 1 WHERE id = 2")
    while it.tail.step(1).entries:
        pass
    assert it.same(0)
    assert it.same(1)
    it.writer.execute("UPDATE a SET b_id = NULL, up = NULL")
    it.writer.execute("DELETE FROM b")
    it.writer.execute("DELETE FROM a")
    it.drain()
    assert rows_of(it.reader, it.pairs[0].target) == []
    assert rows_of(it.reader, it.pairs[1].target) == []


def test_deleting_a_parent_at_the_target_takes_no_child_along(alike: tuple[Place, Place]) -> None:
    tables = [
        "CREATE TABLE p (id INTEGER NOT NULL PRIMARY KEY)",
        "CREATE TABLE c (id INTEGER NOT NULL PRIMARY KEY, p_id INTEGER, "
        "FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE)",
    ]
    it = moving(alike, tables, tables, {"table": "p"}, {"table": "c"})
    it.writer.execute("INSERT INTO p VALUES (1), (2)")
    it.writer.execute("INSERT INTO c VALUES (10, 1)")
    it.drain()
    it.writer.execute("UPDATE c SET p_id = 2")
    it.writer.execute("DELETE FROM p WHERE id = 1")
    it.tail.step(1)
    it.drain()
    assert rows_of(it.reader, it.pairs[1].target) == [(10, 2)]
    it.writer.execute("DELETE FROM p")
    it.drain()
    assert rows_of(it.reader, it.pairs[1].target) == []


@pytest.mark.services
def test_a_role_that_may_not_switch_references_off_moves_parents_first(place: Make) -> None:
    source, target = place("sqlite"), place("postgresql")
    owner = target.writer()
    role = f"mover_{target.url.rpartition('_')[2]}"
    owner.execute(f"CREATE ROLE {role} LOGIN")
    try:
        owner.execute(f"GRANT ALL ON SCHEMA public TO {role}")
        own = Place("postgresql", target.url.replace("postgres@", f"{role}@"))
        tables = [
            "CREATE TABLE p (id INTEGER NOT NULL PRIMARY KEY)",
            "CREATE TABLE c (id INTEGER NOT NULL PRIMARY KEY, p_id INTEGER, "
            "FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE)",
        ]
        backwards = move_of({"table": "c"}, {"table": "p"})
        it = moving((source, own), tables, tables, {"table": "p"}, {"table": "c"})
        with pytest.raises(HandoverRefused, match="grant it, or put parents first"):
            pair_tables(backwards, it.writer, it.reader)
        it.writer.execute("INSERT INTO p VALUES (1), (2)")
        it.writer.execute("INSERT INTO c VALUES (10, 1), (11, 1)")
        it.drain()
        it.writer.execute("UPDATE c SET p_id = 2 WHERE id = 10")
        it.writer.execute("DELETE FROM p WHERE id = 1")
        it.drain()
        assert rows_of(it.reader, it.pairs[1].target) == [(10, 2)]
        assert it.same(0)
        for session in own.sessions:
            session.close()
    finally:
        owner.execute(f"DROP OWNED BY {role}")
        owner.execute(f"DROP ROLE {role}")


@pytest.mark.services
def test_keys_that_one_collation_takes_for_one_keep_the_spelling_of_the_source(
    place: Make,
) -> None:
    table = (
        "CREATE TABLE t (k VARCHAR(9) COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY, n INTEGER)"
    )
    it = moving((place("mysql"), place("mysql")), [table], [table], {"table": "t"})
    it.writer.execute("INSERT INTO t VALUES ('a', 1), ('b', 2)")
    it.drain()
    it.writer.execute("UPDATE t SET k = UPPER(k)")
    it.tail.step(1)
    assert ("A", 1) in rows_of(it.reader, it.pairs[0].target)
    it.drain()
    assert rows_of(it.reader, it.pairs[0].target) == [("A", 1), ("B", 2)]


@pytest.mark.services
def test_keys_that_only_the_target_takes_for_one_are_refused(place: Make) -> None:
    source = place("postgresql").writer("CREATE TABLE t (k text NOT NULL PRIMARY KEY)")
    target = place("mysql").writer("CREATE TABLE t (k VARCHAR(9) NOT NULL PRIMARY KEY)")
    with pytest.raises(HandoverRefused, match="takes for one key"):
        pair_tables(move_of({"table": "t"}), source, target)


@pytest.mark.services
def test_a_table_of_another_schema_moves_into_one_of_another_name(place: Make) -> None:
    table = 'CREATE TABLE "old shop"."my.posts%%" (id uuid PRIMARY KEY, n integer)'
    it = moving(
        (place("postgresql"), place("mysql")),
        ['CREATE SCHEMA "old shop"', table],
        ["CREATE TABLE posts (`the id` binary(16) NOT NULL PRIMARY KEY, doubled BIGINT)"],
        {
            "table": '"old shop"."my.posts%"',
            "to": "posts",
            "columns": {"the id": "id", "doubled": {"sql": "n % 1000 * 2"}},
        },
    )
    it.writer.execute('INSERT INTO "old shop"."my.posts%%" VALUES (%s, 1021)', (str(ROW[9]),))
    it.drain()
    assert rows_of(it.reader, it.pairs[0].target) == [(ROW[9], 42)]
    it.writer.execute('DELETE FROM "old shop"."my.posts%%"')
    it.drain()
    assert rows_of(it.reader, it.pairs[0].target) == []


@pytest.mark.parametrize("kind", ["sqlite", kind_param("mysql")])
def test_a_fraction_that_the_target_would_round_stops_the_move(place: Make, kind: str) -> None:
    column = {"sqlite": "NUMERIC(9, 2)", "mysql": "DECIMAL(9, 2)"}[kind]
    it = moving(
        (place("sqlite"), place(kind)),
        ["CREATE TABLE t (id INTEGER PRIMARY KEY, price TEXT)"],
        [f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, price {column})"],
        {"table": "t"},
    )
    price = {"sqlite": "0.1234567890123456789", "mysql": "0.125"}[kind]
    it.writer.execute("INSERT INTO t VALUES (1, ?)", (price,))
    with pytest.raises(HandoverRefused, match=r"price.*does not fit"):
        it.drain()
    assert rows_of(it.reader, it.pairs[0].target) == []


def test_a_value_of_the_wrong_type_stops_the_move_and_names_the_column(place: Make) -> None:
    table = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"
    it = moving((place("sqlite"), place("sqlite")), [table], [table], {"table": "t"})
    it.writer.execute("INSERT INTO t VALUES (1, 'many')")
    with pytest.raises(HandoverRefused, match="column \"n\" holds 'many'"):
        it.drain()


def test_a_second_tail_of_a_move_is_refused(alike: tuple[Place, Place]) -> None:
    it = moving(alike, [T], [T], {"table": "t"})
    with pytest.raises(LockBusy, match="'m tail'"):
        Tail("m", it.pairs, it.capture, it.source.session("m"), it.target.session("m"))


def test_a_schema_that_changes_in_mid_move_is_noticed(alike: tuple[Place, Place]) -> None:
    it = moving(alike, [T], [T], {"table": "t"})
    before = fingerprint.take(it.pairs, it.writer, it.reader)
    it.writer.execute("INSERT INTO t VALUES (1, 1)")
    it.drain()
    fingerprint.check(before, it.pairs, it.writer, it.reader)
    it.writer.execute("ALTER TABLE t ADD COLUMN more INTEGER")
    with pytest.raises(HandoverRefused, match="at the source was altered"):
        fingerprint.check(before, it.pairs, it.writer, it.reader)
    it.reader.execute("DROP TABLE t")
    with pytest.raises(HandoverRefused) as told:
        fingerprint.check(before, it.pairs, it.writer, it.reader)
    assert len(told.value.sentences) == 2


@pytest.mark.services
def test_a_table_that_is_truncated_on_mysql_is_noticed(place: Make) -> None:
    it = moving((place("mysql"), place("mysql")), [T], [T], {"table": "t"})
    before = fingerprint.take(it.pairs, it.writer, it.reader)
    it.writer.execute("TRUNCATE t")
    with pytest.raises(HandoverRefused, match="truncated"):
        fingerprint.check(before, it.pairs, it.writer, it.reader)


def test_the_mark_of_a_mover_leaves_nothing_in_sqlite(place: Make) -> None:
    it = moving((place("sqlite"), place("sqlite")), [T], [T], {"table": "t"})
    mover = it.source.session("m")
    with mover.transaction():
        mover.execute("INSERT INTO t VALUES (1, 1)")
    assert it.writer.scalar("SELECT count(*) FROM strangler_m_mover") == 0
    it.writer.execute("INSERT INTO t VALUES (2, 2)")
    assert it.capture.backlog(it.writer).entries == 1
    assert it.writer.describe(TableName(None, "t")).primary_key == ("id",)
