"""Which kind a value is, where two columns of two databases must agree on it. Pure."""

from strangler_proxy.handover.databases.port import Column, Kind

# Where several kinds fit, the one that changes least between the two sides.
_PREFERRED = (
    Kind.TEXT,
    Kind.BINARY,
    Kind.DECIMAL,
    Kind.INTEGER,
    Kind.FLOAT,
    Kind.BOOLEAN,
    Kind.TIMESTAMP,
    Kind.DATE,
    Kind.TIME,
    Kind.UUID,
    Kind.JSON,
)


def agreed_kind(source: Column, target: Column) -> Kind | None:
    """The kind that both hold without loss; None when there is none."""
    common = set(source.kinds) & set(target.kinds)
    return next((kind for kind in _PREFERRED if kind in common), None)
