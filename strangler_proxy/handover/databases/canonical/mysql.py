"""The text of a value as MySQL's SQL. Pure."""

from strangler_proxy.handover.databases.canonical.cells import declared_as, hyphened
from strangler_proxy.handover.databases.canonical.spelling import Spelling
from strangler_proxy.handover.databases.port import Cell, Kind


def mysql_text(cell: Cell, spelling: Spelling) -> str:
    """SQL of the text of this cell; NULL for NULL."""
    declared, scale = declared_as(cell), cell.column.scale if cell.column else None
    text = f"CAST({cell.sql} AS CHAR)"
    match cell.kind:
        case Kind.INTEGER if not declared or declared.startswith("decimal"):
            return _number(cell.sql, scale)
        case Kind.BOOLEAN if not declared.startswith("tinyint"):  # bit(1) is bytes elsewhere
            return f"CAST({cell.sql} + 0 AS CHAR)"
        case Kind.DECIMAL:
            return _number(cell.sql, scale if declared.startswith("decimal") else None)
        case Kind.FLOAT:
            return _float(f"CAST({cell.sql} AS DOUBLE)")
        case Kind.TEXT | Kind.JSON:
            value = _text(cell)
            return f"trim(TRAILING ' ' FROM {value})" if spelling.padded else value
        case Kind.BINARY:
            # What is longer than max_allowed_packet is NULL: then a digest, rather than nothing.
            return f"ifnull(lower(hex({cell.sql})), md5({cell.sql}))"
        case Kind.TIMESTAMP | Kind.TIME if scale is None:
            whole = "DATETIME(6)" if cell.kind == Kind.TIMESTAMP else "TIME(6)"
            return _trimmed(f"CAST(CAST({cell.sql} AS {whole}) AS CHAR)")
        case Kind.TIMESTAMP | Kind.TIME if scale:
            return _trimmed(text)
        case Kind.UUID:
            return _uuid(cell, declared)
    return text


def _number(value: str, scale: int | None) -> str:
    if scale == 0:
        return f"CAST({value} AS CHAR)"
    exact = f"CAST({value} AS DECIMAL(65, 30))" if scale is None else value
    return _trimmed(f"CAST({exact} AS CHAR)")


def _trimmed(text: str) -> str:
    return f"trim(TRAILING '.' FROM trim(TRAILING '0' FROM {text}))"


def _text(cell: Cell) -> str:
    collation = (cell.column.collation if cell.column else None) or ""
    # CONVERT copies, a fifth of the time of a long text.
    return cell.sql if collation.startswith("utf8") else f"CONVERT({cell.sql} USING utf8mb4)"


def _uuid(cell: Cell, declared: str) -> str:
    if "binary" in declared:
        return _of_digits(f"lower(hex({cell.sql}))")
    if "(36)" in declared or declared == "uuid":
        return f"lower(CAST({cell.sql} AS CHAR))"
    return _of_digits(f"lower(replace(CAST({cell.sql} AS CHAR), '-', ''))")


def _of_digits(digits: str) -> str:
    return f"concat({', '.join(hyphened(digits))})"


def _float(value: str) -> str:
    text = f"CAST({value} AS CHAR)"
    mantissa = f"substring_index({text}, 'e', 1)"
    digits = f"replace(replace({mantissa}, '-', ''), '.', '')"
    power = (
        f"if(locate('e', {text}), CAST(substring_index({text}, 'e', -1) AS SIGNED), 0) "
        f"- if(locate('.', {mantissa}), length(substring_index({mantissa}, '.', -1)), 0) "
        f"+ length({digits}) - length(trim(TRAILING '0' FROM {digits}))"
    )
    return (
        f"CASE WHEN {value} = 0 THEN '0' WHEN {value} <> 0 THEN "
        f"concat(if({value} < 0, '-', ''), trim(BOTH '0' FROM {digits}), 'e', {power}) END"
    )
