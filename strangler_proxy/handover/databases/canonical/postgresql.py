"""The text of a value as PostgreSQL's SQL. Pure."""

from strangler_proxy.handover.databases.canonical.cells import declared_as, hyphened
from strangler_proxy.handover.databases.canonical.spelling import Spelling
from strangler_proxy.handover.databases.port import Cell, Kind


def postgresql_text(read: str, cell: Cell, spelling: Spelling) -> str:
    """SQL of the text of this cell, `read` being the SQL that reads it; NULL for NULL."""
    declared = declared_as(cell)
    match cell.kind:
        case Kind.INTEGER if not declared or declared.startswith("numeric"):
            return f"trim_scale(({read})::numeric)::text"
        case Kind.BOOLEAN:
            return f"({read})::int::text"
        case Kind.DECIMAL:
            return f"trim_scale({read})::text"
        case Kind.FLOAT:
            return _float(read)
        case Kind.TEXT if spelling.padded:
            return f"rtrim({read})"
        case Kind.BINARY:
            return f"encode({read}, 'hex')"
        case Kind.JSON if spelling.jsonb:
            return f"({cell.sql})::jsonb::text"
        case Kind.UUID if declared not in ("", "uuid"):
            # By || and not concat: NULL stays NULL.
            return f"({' || '.join(hyphened(_digits(read, declared)))})"
    return f"({read})::text"


def _digits(value: str, declared: str) -> str:
    if declared == "bytea":
        return f"encode({value}, 'hex')"
    return f"lower(replace({value}, '-', ''))"


def _float(value: str) -> str:
    text = f"({value})::text"
    mantissa = f"split_part({text}, 'e', 1)"
    digits = f"replace(ltrim({mantissa}, '-'), '.', '')"
    power = (
        f"coalesce(nullif(split_part({text}, 'e', 2), '')::int, 0) "
        f"- length(split_part({mantissa}, '.', 2)) "
        f"+ length({digits}) - length(rtrim({digits}, '0'))"
    )
    sign = f"CASE WHEN {value} < 0 THEN '-' END"
    return (
        f"CASE WHEN {value} = 0 THEN '0' "
        f"WHEN {value} IN ('NaN', 'Infinity', '-Infinity') THEN {text} "
        f"WHEN {value} <> 0 THEN concat({sign}, trim('0' FROM {digits}), 'e', {power}) END"
    )
