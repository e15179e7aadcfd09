"""What the first copy brings over: every value as it was, keys of every type, the fastest way."""

import random
import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from strangler_proxy.handover.databases.port import Kind
from strangler_proxy.handover.loading.sources import choose_source
from strangler_proxy.handover.loading.targets import choose_target
from tests.integration.handover.backfill.copying import PAIRS, both, served

THINGS = """CREATE TABLE things (
    id INTEGER PRIMARY KEY, label VARCHAR(200) NOT NULL, words {text}, amount DECIMAL(12, 3),
    bytes {blob}, flag BOOLEAN, moment {stamp}, day DATE, ident {uuid},
    doubled INTEGER GENERATED ALWAYS AS (id * 2) STORED)"""
PAGED = {
    "composite": "CREATE TABLE paged (area VARCHAR(20){utf8} NOT NULL, number INTEGER NOT NULL, "
    "words {text}, PRIMARY KEY (area, number))",
    "uuid": "CREATE TABLE paged (area {uuid} NOT NULL PRIMARY KEY, number INTEGER, words {text})",
    "uuid16": "CREATE TABLE paged (area {uuid16} NOT NULL PRIMARY KEY, number INTEGER, "
    "words {text})",
    "text": "CREATE TABLE paged (area VARCHAR(60){utf8} NOT NULL PRIMARY KEY, number INTEGER, "
    "words {text})",
    "float": "CREATE TABLE paged (area VARCHAR(60){utf8} NOT NULL PRIMARY KEY, number {double}, "
    "words {json})",
}
AWKWARD = [
    "", " ", "\\N", "\\", "\\\\", "\\.", "a\tb\nc\r\nd", "é ü 漢字 😀", "100%", "%s", "'quoted\"",
    "NULL", "\x01\x0b\x0c\x1a\x7f", "C:\\new\\fine\\video\\t", "{}", "\u2028", "x" * 5000,
]  # fmt: skip


def things(count: int) -> list:
    rng = random.Random(7)
    rows = []
    for number in range(1, count + 1):
        words = AWKWARD[number % len(AWKWARD)]
        values = [
            f"label {number}",
            words,
            Decimal(rng.randrange(-(10**8), 10**8)) / 1000,
            words.encode() + bytes([0, 255]),
            rng.random() < 0.5,
            datetime(1999, 12, 31) + timedelta(microseconds=rng.randrange(10**15)),
            date(1900, 1, 1) + timedelta(days=rng.randrange(80_000)),
            uuid.UUID(int=rng.getrandbits(128)),
        ]
        for place in range(1, len(values)):
            if rng.random() < 0.1:
                values[place] = None
        rows.append((number * 3, *values))
    return rows


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_value_arrives_as_it_was(source, target, tmp_path) -> None:
    with both(source, target, tmp_path) as two:
        two.make(THINGS)
        (pair,) = two.pairs("things")
        two.source.put(pair.source, things(900))
        two.copy([pair])
        two.assert_equal(pair)
        assert len(two.target.rows(pair.target)) == 900
        assert two.told[-1].done
        assert two.told[-1].rows == 900
        assert len(two.told) > 3  # several pages
        assert not two.later


@pytest.mark.parametrize("shape", PAGED)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_keys_of_every_type_are_paged_to_the_end(source, target, shape, tmp_path) -> None:
    with both(source, target, tmp_path) as two:
        two.make(PAGED[shape])
        (pair,) = two.pairs("paged")
        rng, rows, exact = random.Random(3), [], shape == "float"
        for number in range(700):
            area = {
                "composite": "aAbBéß_-% "[number % 9] * 2,
                "uuid": uuid.UUID(int=rng.getrandbits(128)),
                "uuid16": uuid.UUID(int=rng.getrandbits(128)),
            }.get(shape, f"{rng.choice('aAbBzZéÉß_- ')}{rng.randrange(10**9)}")
            rows.append((area, rng.random() if exact else number, '{"a": 1}' if exact else "w"))
        kinds = {"area": Kind.UUID} if "uuid" in shape else {}
        if exact:
            kinds |= {"number": Kind.FLOAT, "words": Kind.JSON}
        two.source.put(pair.source, rows, **kinds)
        two.copy([pair], budget_s=0.01)
        two.assert_equal(pair, **kinds)
        assert len(two.target.rows(pair.target, **kinds)) == 700


@pytest.mark.parametrize(
    ("source", "target", "reads", "loads"),
    [
        ("sqlite", "sqlite", "ComposingSource", "StatementTarget"),
        served("sqlite", "postgresql", "ComposingSource", "CopyTarget"),
        served("postgresql", "postgresql", "CopySource", "CopyTarget"),
        served("mysql", "mysql", "ComposingSource", "InfileTarget"),
    ],
)
def test_an_ordinary_table_takes_the_fast_way(source, target, reads, loads, tmp_path) -> None:
    with both(source, target, tmp_path) as two:
        two.make(THINGS)
        (pair,) = two.pairs("things")
        two.source.put(pair.source, things(300))
        found = choose_source(two.source.session, pair, two.target.session.dialect)
        assert type(found).__name__ == reads
        if reads == "ComposingSource":
            found.page(None, 300)
            assert found._exact
        assert type(choose_target(two.target.session, pair.target)).__name__ == loads


@pytest.mark.services
def test_values_stored_oddly_are_read_one_by_one(tmp_path) -> None:
    with both("sqlite", "postgresql", tmp_path) as two:
        two.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, at {stamp}, price NUMERIC(10, 2))")
        (pair,) = two.pairs("posts")
        rows = [(n, datetime(2024, 1, 1), Decimal("1.5")) for n in range(400)]
        two.source.put(pair.source, rows)
        two.source.make("UPDATE posts SET at = '2024-01-01T12:00:00+02:00' WHERE id = 390")
        two.copy([pair])
        two.assert_equal(pair)
        assert two.target.rows(pair.target)[390][1] == datetime(2024, 1, 1, 10)
