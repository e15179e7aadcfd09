"""Two databases with the same tables, and the runs of one move between them."""

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from strangler_proxy.handover.comparing import compare, compare_and_repair
from strangler_proxy.handover.databases.port import Database
from strangler_proxy.handover.faults import DatabaseUnreachable
from strangler_proxy.handover.ledger import ledger_path, open_ledger
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.progress import Advance
from strangler_proxy.handover.removal import remove
from strangler_proxy.handover.run import Lag, Mover, Wishes
from strangler_proxy.handover.site import Ends, open_site
from strangler_proxy.handover.standing import Phase
from strangler_proxy.handover.status import look
from tests.integration.handover.conftest import Place

NAME = "blog"
POSTS = "CREATE TABLE posts (id INTEGER NOT NULL PRIMARY KEY, title VARCHAR(90) NOT NULL UNIQUE)"
COMMENTS = (
    "CREATE TABLE comments (id INTEGER NOT NULL PRIMARY KEY, post_id INTEGER NOT NULL "
    "REFERENCES posts (id), body VARCHAR(90))"
)
ONCE = Wishes(until_caught_up=True, check_s=0.0, claim_s=0.0)


@dataclass
class Watcher:
    """Follows a run, and does something when a sentence or a page has come."""

    told: list[str] = field(default_factory=list)
    pages: list[Advance] = field(default_factory=list)
    lags: list[Lag] = field(default_factory=list)
    when: dict[str, Callable[[], object]] = field(default_factory=dict)
    at_rows: dict[int, Callable[[], object]] = field(default_factory=dict)

    def said(self, sentence: str) -> None:
        self.told.append(sentence)
        for start, act in list(self.when.items()):
            if sentence.startswith(start):
                del self.when[start]
                act()

    def copied(self, advance: Advance) -> None:
        self.pages.append(advance)
        for rows, act in list(self.at_rows.items()):
            if advance.rows >= rows:
                del self.at_rows[rows]
                act()

    def behind(self, lag: Lag) -> None:
        self.lags.append(lag)


class Site:
    """Two databases with the same tables, and the runs of one move between them."""

    def __init__(self, source: Place, target: Place, folder: Path) -> None:
        self.folder = folder
        self.source, self.target = source.writer(POSTS, COMMENTS), target.writer(POSTS, COMMENTS)
        self.ends = Ends(source.database, target.database)
        self.move = self.moving("posts", "comments")
        self.watcher = Watcher()
        self.stop = threading.Event()

    @staticmethod
    def moving(*tables: str) -> Move:
        declared = [{"table": table} for table in tables]
        return Move.model_validate(
            {"name": NAME, "source_env": "A_URL", "target_env": "B_URL", "tables": declared}
        )

    def fill(self, posts: int) -> None:
        mark = self.source.dialect.placeholder
        with self.source.transaction():
            self.source.execute_many(
                f"INSERT INTO posts VALUES ({mark}, {mark})",
                [(number, f"title {number}") for number in range(posts)],
            )
            self.source.execute("INSERT INTO comments VALUES (1, 1, 'first')")

    def spoil(self, *statements: str) -> None:
        """As only a mover can: the new tables are shut."""
        with closing(self.ends.target.session(NAME)) as mover, mover.transaction():
            for statement in statements:
                mover.execute(statement)

    @property
    def ledger(self) -> Path:
        return ledger_path(self.folder / "moves.yaml", NAME)

    def run(self, wishes: Wishes = ONCE, move: Move | None = None, ends: Ends | None = None):
        with open_ledger(self.ledger, "start") as ledger:
            mover = Mover(
                move or self.move, ends or self.ends, ledger, self.watcher, self.stop, wishes
            )
            return mover.run()

    def differences(self) -> int:
        with open_site(self.move, self.ends) as site:
            return compare(site, listed=10).total

    def phase(self) -> Phase:
        return look(self.move, self.ends, self.ledger).standing.phase

    def remove(self) -> None:
        with open_ledger(self.ledger, "remove") as ledger:
            remove(self.move, self.ends, ledger)

    def repair(self):
        with open_ledger(self.ledger, "verify") as ledger, open_site(self.move, self.ends) as site:
            return compare_and_repair(site, ledger, lambda _: None)


class Flaky:
    """A database to which some connections fail."""

    def __init__(self, database: Database, failing: range) -> None:
        self._database, self._failing, self._asked = database, failing, 0
        self.kind, self.shown, self.dialect = database.kind, database.shown, database.dialect

    def session(self, mover: str | None = None, statement_s: float = 60.0):
        self._asked += 1
        if self._asked in self._failing:
            raise DatabaseUnreachable("the server went away")
        return self._database.session(mover, statement_s)
