"""PostgreSQL's SQL. Pure.

Text of a fixed length is read without the blanks that fill it up, as PostgreSQL compares it;
moments with a zone are read as UTC; four-byte numbers as the eight-byte ones that they stand for.
"""

from strangler_proxy.handover.databases import values
from strangler_proxy.handover.databases.port import (
    Cell,
    Column,
    Convert,
    DatabaseKind,
    Kind,
    Reading,
    Side,
    Writing,
)
from strangler_proxy.handover.databases.statements import Statements

_TEXT = ("text", "character varying")
# What an expression is made to be: a moment with a zone becomes UTC, the session's zone.
_CAST = {
    Kind.INTEGER: "numeric",
    Kind.DECIMAL: "numeric",
    Kind.FLOAT: "float8",
    Kind.TEXT: "text",
    Kind.BINARY: "bytea",
    Kind.BOOLEAN: "boolean",
    Kind.TIMESTAMP: "timestamp",
    Kind.DATE: "date",
    Kind.TIME: "time",
    Kind.UUID: "uuid",
    Kind.JSON: "text",
}
_OF_EXPRESSION: dict[Kind, Convert] = {Kind.INTEGER: values.integer}


class PostgresqlDialect(Statements):
    """See port.Dialect."""

    kind: DatabaseKind = "postgresql"

    def quote(self, identifier: str) -> str:
        """In double quotes."""
        return '"' + identifier.replace('"', '""').replace("%", "%%") + '"'

    def read(self, cell: Cell) -> Reading:
        """By casts, so that the driver's own value is the neutral one nearly always."""
        if cell.column is None:
            return Reading(f"({cell.sql})::{_CAST[cell.kind]}", _OF_EXPRESSION.get(cell.kind))
        declared = cell.column.declared
        match cell.kind:
            case Kind.TIMESTAMP if declared.endswith("with time zone"):
                return Reading(f"({cell.sql} AT TIME ZONE 'UTC')")
            case Kind.TEXT if not declared.startswith(_TEXT):
                return Reading(f"{cell.sql}::text")
            case Kind.JSON:
                return Reading(f"{cell.sql}::text")
            case Kind.FLOAT if declared == "real":
                return Reading(f"{cell.sql}::float8")
            case Kind.INTEGER if declared.startswith("numeric"):
                return Reading(cell.sql, values.integer)
            case Kind.UUID if declared.startswith("character"):  # blanks of char(40) come off
                return Reading(f"{cell.sql}::text", values.as_uuid)
            case Kind.UUID if declared != "uuid":
                return Reading(cell.sql, values.as_uuid)
        return Reading(cell.sql)

    def write(self, cell: Cell) -> Writing:
        """Parameters whose type PostgreSQL finds by the column."""
        return Writing("%s", _writing(cell.kind, cell.column) if cell.column else None)

    def captured_key(self, side: Side, row: str) -> str:
        """A JSON array that depends on no setting of the writer's session."""
        parts = [_captured(cell, f"{row}.{self.quote(cell.name)}") for cell in side.key_cells]
        return f"pg_catalog.json_build_array({', '.join(parts)})::text"

    def insert(self, side: Side, rows: int = 1) -> str:
        """Numbers that the database would give itself are kept as they are."""
        return (
            super()
            .insert(side, rows)
            .replace(") VALUES (", ") OVERRIDING SYSTEM VALUE VALUES (", 1)
        )


def _writing(kind: Kind, column: Column) -> Convert | None:
    declared = column.declared
    match kind:
        case Kind.UUID if declared != "uuid":
            return values.uuid_writing(declared)
        case Kind.DECIMAL if column.scale is not None:
            return values.fitting(column.scale)
        case Kind.TIMESTAMP | Kind.TIME if column.scale is not None and column.scale < 6:
            return values.fraction(column.scale)
        case Kind.FLOAT if declared == "real":
            return values.single
    return None


def _captured(cell: Cell, value: str) -> str:
    declared = cell.column.declared if cell.column else ""
    text = f"{value}::text"
    if declared == "bytea":
        return f"pg_catalog.json_build_object('hex', pg_catalog.encode({value}, 'hex'))"
    if declared == "uuid":
        return f"pg_catalog.json_build_object('uuid', {text})"
    if declared.startswith("numeric"):
        return f"pg_catalog.json_build_object('decimal', {text})"
    if declared == "date":
        day = f"pg_catalog.to_char({value}, 'YYYY-MM-DD')"
        return f"pg_catalog.json_build_object('date', {day})"
    if declared.startswith("timestamp"):
        zoned = declared.endswith("with time zone")
        utc = f"pg_catalog.timezone('UTC', {value})" if zoned else value
        moment = f"pg_catalog.to_char({utc}, 'YYYY-MM-DD HH24:MI:SS.US')"
        return f"pg_catalog.json_build_object('timestamp', {moment})"
    return value if declared in ("smallint", "integer", "bigint", "boolean") else text
