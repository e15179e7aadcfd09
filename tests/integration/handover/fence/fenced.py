"""A fence on a database, its mover, and writers who meet it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from strangler_proxy.handover.capture import Patience
from strangler_proxy.handover.databases.port import Kind, Session, Side, TableName
from strangler_proxy.handover.fence import Fence
from tests.integration.handover.conftest import Place
from tests.integration.handover.tables import side_of

Make = Callable[[str], Place]
MOVE = "posts"
QUICK = Patience(lock_s=1.0, pause_s=0.01, whole_s=10.0)
REFUSED = r"(about to move|lives elsewhere)"


def side(session: Session, name: str = "posts") -> Side:
    table = session.describe(TableName(None, name))
    return side_of(session, table, {"id": Kind.INTEGER, "body": Kind.TEXT}, table.primary_key)


def fence_of(here: Place, *, shut: bool = False) -> tuple[Fence, Session]:
    mover = here.session(MOVE)
    fence = Fence(here.database, MOVE, [side(mover)])
    fence.install(shut=shut, patience=QUICK)
    return fence, mover


def nothing(_: Session) -> bool:
    return False


def begin(session: Session, level: str = "") -> None:
    if session.dialect.kind == "postgresql":
        session.execute(f"BEGIN ISOLATION LEVEL {level or 'READ COMMITTED'}")
    elif session.dialect.kind == "mysql":
        session.execute(f"SET TRANSACTION ISOLATION LEVEL {level or 'REPEATABLE READ'}")
        session.execute("START TRANSACTION")
    else:
        session.execute("BEGIN")


@contextmanager
def beside(act: Callable[[], object]) -> Iterator[Future[object]]:
    """Another thread, whose answer is waited for at the end."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(act)


def lapse(mover: Session) -> None:
    """As if its time had come."""
    mover.execute("UPDATE strangler_posts_fence SET until = 1 WHERE id = 1")


WRITES = [
    "INSERT INTO posts VALUES (3, 'three')",
    "UPDATE posts SET body = 'x' WHERE id = 1",
    "DELETE FROM posts WHERE id = 1",
]
