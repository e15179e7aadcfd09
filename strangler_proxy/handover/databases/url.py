"""Choose a database by its URL. A driver is imported only when a URL asks for it."""

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from strangler_proxy.handover.databases.port import Database
from strangler_proxy.handover.faults import HandoverRefused

_KNOWN = (
    "sqlite:///path, postgresql://user@host/database, mysql://user@host/database or "
    "mongodb://user@host/database"
)
_EXTRA = {"postgres": "postgresql", "mariadb": "mysql"}


def open_database(url: str) -> Database:
    """The database of this URL, SQLAlchemy's spellings included; connects to nothing.

    Raises HandoverRefused for a URL of another kind, or when its driver is not installed.
    """
    scheme = urlsplit(url).scheme.partition("+")[0]
    try:
        if scheme == "sqlite":
            return _sqlite(url)
        if scheme in ("postgresql", "postgres"):
            return _postgresql(url)
        if scheme in ("mysql", "mariadb"):
            return _mysql(url)
        if scheme == "mongodb":
            return _mongodb(url)
    except ModuleNotFoundError as fault:
        kind = _EXTRA.get(scheme, scheme)
        raise HandoverRefused(
            f"the driver for {kind} is not installed ({fault.name}): "
            f"pip install 'strangler-proxy[{kind}]'"
        ) from fault
    raise HandoverRefused(f"'{scheme}:' is not the URL of a database: write {_KNOWN}")


def _sqlite(url: str) -> Database:
    from strangler_proxy.handover.databases.sqlite import SqliteDatabase

    _, separator, path = url.partition(":///")
    path = unquote(path.partition("?")[0])
    if not separator or not path or path == ":memory:":
        raise HandoverRefused("a move needs a file of SQLite: write sqlite:///path/to/file.db")
    return SqliteDatabase(Path(path))


def _postgresql(url: str) -> Database:
    from strangler_proxy.handover.databases.postgresql import PostgresqlDatabase

    return PostgresqlDatabase(f"postgresql://{url.partition('://')[2]}", _shown(url))


def _mysql(url: str) -> Database:
    from strangler_proxy.handover.databases.mysql import MysqlDatabase

    parts = urlsplit(url)
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise HandoverRefused(f"{_shown(url)} names no database: write mysql://user@host/database")
    return MysqlDatabase(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        name=name,
        options=dict(parse_qsl(parts.query)),
        shown=_shown(url),
    )


def _mongodb(url: str) -> Database:
    from strangler_proxy.handover.databases.mongodb import MongoDatabase
    from strangler_proxy.handover.databases.mongodb.client import PymongoStore

    shown, name = _shown(url), unquote(urlsplit(url).path.lstrip("/"))
    if not name:
        raise HandoverRefused(f"{shown} names no database: write mongodb://user@host/database")
    return MongoDatabase(lambda statement_s: PymongoStore(url, name, shown, statement_s), shown)


def _shown(url: str) -> str:
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme.partition('+')[0]}://{user}{where}{parts.path}"
