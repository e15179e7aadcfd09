"""Values as BSON and back, and what is refused because it would be changed silently."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.handover.databases.canonical import same
from strangler_proxy.handover.databases.mongodb.client import CODEC
from strangler_proxy.handover.databases.mongodb.side import Documents, DocumentSide, Shape, Tree
from strangler_proxy.handover.databases.mongodb.values import (
    DECLARED,
    bson_to_json,
    from_bson,
    json_to_bson,
    to_bson,
)
from strangler_proxy.handover.databases.port import Cell, Column, Kind, Pair, Side, Table, TableName
from strangler_proxy.handover.faults import HandoverRefused
from tests.integration.handover.tables import KINDS, ROWS


def cell(kind: Kind, name: str = "it", kept_as: str | None = None) -> Cell:
    return Cell(kind, name, Column(name, kept_as or DECLARED[kind], (kind,), nullable=True))


def there_and_back(kind: Kind, value: Any, kept_as: str | None = None) -> Any:
    """As a document that has been sent and read."""
    at = cell(kind, kept_as=kept_as)
    write = to_bson(at) or (lambda given: given)
    sent = bson.encode({"it": write(value)}, codec_options=CODEC)
    return from_bson(at)(bson.decode(sent, codec_options=CODEC)["it"])


VALUES = [
    (kind, row[place])
    for row in ROWS
    for place, kind in enumerate(KINDS.values())
    if row[place] is not None
]


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_every_value_comes_back_as_it_was_kept_as_a_string(kind: Kind, value: Any) -> None:
    assert there_and_back(kind, value, "string") == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [each for each in VALUES if not (each[0] == Kind.TIMESTAMP and each[1].microsecond % 1000)],
)
def test_every_value_comes_back_as_it_was_in_bson_s_own_types(kind: Kind, value: Any) -> None:
    found = there_and_back(kind, value)
    assert found == value or (kind == Kind.JSON and same(kind, found, value))
    assert type(found) is type(value) or kind == Kind.INTEGER


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (Kind.INTEGER, 2**63, "64 bits"),
        (Kind.DECIMAL, Decimal("1." + "1" * 34), "34 digits"),
        (Kind.DECIMAL, Decimal("1e7000"), "Decimal128 has not"),
        (Kind.TIMESTAMP, datetime(2024, 1, 1, 0, 0, 0, 1), "milliseconds"),
        (Kind.JSON, '{"$ref": 1}', "the name '\\$ref'"),
        (Kind.JSON, "NaN", "not JSON"),
    ],
)
def test_what_bson_has_no_room_for_is_refused(kind: Kind, value: Any, why: str) -> None:
    write = to_bson(cell(kind))
    assert write
    with pytest.raises(ValueError, match=why):
        write(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.INTEGER, 1.5),
        (Kind.INTEGER, True),
        (Kind.INTEGER, ObjectId()),
        (Kind.DECIMAL, 1.5),
        (Kind.FLOAT, "1"),
        (Kind.TEXT, 1),
        (Kind.BOOLEAN, 1),
        (Kind.TIMESTAMP, "2024-01-01"),
        (Kind.DATE, datetime(2024, 1, 1)),
        (Kind.UUID, b"0123456789abcdef"),
        (Kind.JSON, ObjectId()),
    ],
)
def test_what_a_service_put_there_of_another_type_is_refused(kind: Kind, value: Any) -> None:
    with pytest.raises(ValueError, match=r"h(old|a)s"):
        from_bson(cell(kind))(value)


def _kept(name: str) -> bool:
    return not name.startswith("$") and "\0" not in name


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**33), 10**33)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(_kept), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_json_means_the_same_behind_bson(value: Any) -> None:
    text = json.dumps(value)
    sent = bson.encode({"it": json_to_bson(text)}, codec_options=CODEC)
    found = bson_to_json(bson.decode(sent, codec_options=CODEC)["it"])
    assert same(Kind.JSON, text, found), found


def test_numbers_of_json_that_no_double_is_are_kept_exactly() -> None:
    text = "[0.1234567890123456789, 123456789012345678901234567890, 1.10]"
    kept = json_to_bson(text)
    assert [type(each) for each in kept] == [Decimal128, Decimal128, float]
    assert bson_to_json(kept) == "[0.1234567890123456789, 123456789012345678901234567890, 1.1]"
    assert isinstance(json_to_bson("1"), Int64)


def tree() -> Tree:
    """Posts named by two columns, with their comments."""
    root = DocumentSide(
        Table(TableName(None, "posts"), (), ()),
        (cell(Kind.TEXT, "word"), cell(Kind.INTEGER, "_id.number"), cell(Kind.TEXT, "_id.blog")),
        (1, 2),
        "posts",
    )
    child = DocumentSide(
        Table(TableName("posts", "comments"), (), ()),
        (
            cell(Kind.INTEGER, "id"),
            cell(Kind.INTEGER, "post"),
            cell(Kind.TEXT, "blog"),
            cell(Kind.UUID, "mark"),
        ),
        (0,),
        "posts",
        "comments",
        ("post", "blog"),
        ("mark",),
    )
    one, other = (Pair(Side(each.table, each.cells, each.key), each) for each in (root, child))
    return Tree(one, (other,))


def test_a_key_of_several_columns_is_a_document_and_elements_do_not_repeat_it() -> None:
    documents = Documents(tree())
    children = [
        (7, 1, "b", uuid.UUID(int=2)),
        (8, 1, "b", None),
        (9, 1, "b", uuid.UUID(int=1)),
    ]
    made = documents.made(("text", 1, "b"), [children])
    assert made["_id"] == {"number": 1, "blog": "b"}
    assert made["word"] == "text"
    assert [each["id"] for each in made["comments"]] == [8, 9, 7]
    assert set(made["comments"][0]) == {"id", "mark"}
    found = bson.decode(bson.encode(made, codec_options=CODEC), codec_options=CODEC)
    root, array = documents.root, documents.arrays[0]
    assert documents.rows(found, root) == [("text", 1, "b")]
    assert sorted(documents.rows(found, array)) == children
    assert root.key(found["_id"]) == (1, "b")


def test_a_document_that_no_row_could_be_is_named() -> None:
    documents = Documents(tree())
    with pytest.raises(HandoverRefused, match=r"posts, document .*: field _id\.number"):
        documents.rows({"_id": {"number": "x"}, "word": "a"}, documents.root)
    with pytest.raises(HandoverRefused, match="field comments is no array"):
        documents.rows({"_id": {"number": 1, "blog": "b"}, "comments": 3}, documents.arrays[0])
    found = {"_id": {"number": 1, "blog": "b"}, "comments": ["x"]}
    with pytest.raises(HandoverRefused, match="'x' is no document"):
        documents.rows(found, documents.arrays[0])


def test_a_shape_writes_null_for_none_and_reads_a_missing_field_as_none() -> None:
    shape = Shape(tree().root.target)  # type: ignore[arg-type]
    assert shape.fields((None, 1, "b")) == {"word": None}
    assert shape.row({"_id": {"number": 1, "blog": "b"}}) == (None, 1, "b")
