"""One run of a move, from capture to caught up, and whatever gets in its way."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pymysql
import pytest

from strangler_proxy.handover.claiming import Claimed
from strangler_proxy.handover.comparing import compare, compare_and_repair
from strangler_proxy.handover.databases.port import Database
from strangler_proxy.handover.faults import DatabaseUnreachable, HandoverFault, HandoverRefused
from strangler_proxy.handover.ledger import ledger_path, open_ledger
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.progress import Advance
from strangler_proxy.handover.removal import remove
from strangler_proxy.handover.run import Ending, Lag, Mover, Wishes
from strangler_proxy.handover.site import Ends, open_site
from strangler_proxy.handover.standing import Phase
from strangler_proxy.handover.status import look
from tests.integration.handover.conftest import SERVERS, Place, kind_param
from tests.wire_tools.proxy import until

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


@pytest.fixture
def blog(place, tmp_path) -> Site:
    site = Site(place("sqlite"), place("sqlite"), tmp_path)
    site.fill(2_000)
    return site


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


def test_rows_are_copied_and_what_changed_meanwhile_is_carried_over(blog):
    def write() -> None:
        blog.source.execute("DELETE FROM posts WHERE id = 5")
        blog.source.execute("UPDATE posts SET title = 'new' WHERE id = 7")
        blog.source.execute("INSERT INTO posts VALUES (9000, 'late')")

    blog.watcher.at_rows[600] = write
    blog.watcher.when["all tables are copied"] = lambda: blog.source.execute(
        "INSERT INTO comments VALUES (2, 9000, 'after the copy')"
    )
    assert blog.run() is Ending.CAUGHT_UP
    assert blog.differences() == 0
    assert blog.target.scalar("SELECT title FROM posts WHERE id = 7") == "new"
    assert blog.target.scalar("SELECT body FROM comments WHERE id = 2") == "after the copy"
    assert blog.watcher.lags[-1].entries == 0
    assert blog.watcher.lags[-1].applied >= 3


def test_a_run_that_is_told_to_stop_goes_on_from_its_last_page(blog):
    blog.watcher.at_rows[600] = blog.stop.set
    assert blog.run() is Ending.EARLY
    copied = blog.target.scalar("SELECT count(*) FROM posts")
    assert 600 <= copied < 2_000
    blog.source.execute("DELETE FROM posts WHERE id = 5")
    blog.stop.clear()
    blog.watcher.pages.clear()
    assert blog.run() is Ending.CAUGHT_UP
    assert blog.watcher.pages[0].rows == copied
    assert blog.differences() == 0


def test_it_goes_on_tailing_until_it_is_told_to_stop(blog):
    def write_and_see() -> None:
        blog.source.execute("INSERT INTO posts VALUES (9000, 'late')")
        threading.Thread(target=stop_when_there, daemon=True).start()

    def stop_when_there() -> None:
        with closing(blog.ends.target.session()) as session:
            until(lambda: session.rows("SELECT 1 FROM posts WHERE id = 9000"), "it is there")
        blog.stop.set()

    blog.watcher.when["caught up"] = write_and_see
    assert blog.run(replace(ONCE, until_caught_up=False)) is Ending.TAILING
    assert blog.differences() == 0


def test_a_row_that_takes_over_a_unique_value_during_the_copy_is_settled_by_the_tail(blog):
    def write() -> None:
        blog.source.execute("UPDATE posts SET title = 'free' WHERE id = 5")
        blog.source.execute("INSERT INTO posts VALUES (9000, 'title 5')")

    blog.watcher.at_rows[200] = write
    assert blog.run() is Ending.CAUGHT_UP
    assert blog.differences() == 0
    assert blog.target.scalar("SELECT title FROM posts WHERE id = 9000") == "title 5"


def test_a_database_that_goes_away_is_waited_for_and_told_once(blog):
    # The first two connections are the run's and the look whether tables are being altered.
    flaky = Ends(blog.ends.source, Flaky(blog.ends.target, range(4, 7)))
    assert blog.run(ends=flaky) is Ending.CAUGHT_UP
    told = [each for each in blog.watcher.told if "went away" in each or "going on" in each]
    assert [each.partition(" after")[0] for each in told] == [
        "the server went away; trying again until it goes on",
        "going on again",
    ]
    assert blog.differences() == 0


def test_an_outage_has_an_end(blog):
    flaky = Ends(blog.ends.source, Flaky(blog.ends.target, range(4, 1_000)))
    with pytest.raises(DatabaseUnreachable):
        blog.run(replace(ONCE, outage_s=0.3), ends=flaky)
    assert look(blog.move, blog.ends, blog.ledger).standing.ended == "the server went away"


def test_a_database_that_never_answered_is_told_at_once(blog):
    flaky = Ends(Flaky(blog.ends.source, range(1, 2)), blog.ends.target)
    with pytest.raises(DatabaseUnreachable):
        blog.run(ends=flaky)


def test_an_outage_while_it_is_told_to_stop_ends_the_run(blog):
    blog.watcher.when["the server went away"] = blog.stop.set
    flaky = Ends(blog.ends.source, Flaky(blog.ends.target, range(4, 1_000)))
    assert blog.run(ends=flaky) is Ending.EARLY


@pytest.mark.parametrize(
    "phase", ["every change is captured", "all tables are copied", "caught up"]
)
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_table_that_is_altered_in_mid_move_ends_the_run(blog, phase, side):
    blog.watcher.when[phase] = lambda: getattr(blog, side).execute(
        "ALTER TABLE comments ADD COLUMN note TEXT"
    )
    with pytest.raises(HandoverRefused, match=f"comments at the {side} was altered"):
        blog.run(replace(ONCE, until_caught_up=False))
    with pytest.raises(HandoverRefused, match="altered"):  # and every one after it
        blog.run()


def test_a_trigger_that_is_gone_ends_the_run(blog):
    blog.run()
    name = blog.source.scalar("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    blog.source.execute(f"DROP TRIGGER {name}")
    blog.source.execute("INSERT INTO posts VALUES (9000, 'unseen')")
    with pytest.raises(HandoverRefused, match=f"{name} is not there: changes were missed"):
        blog.run()
    status = look(blog.move, blog.ends, blog.ledger)
    assert not status.well
    assert name in status.missing_triggers[0]


def test_a_move_whose_tables_are_declared_otherwise_is_not_gone_on_with(blog):
    blog.run()
    with pytest.raises(HandoverRefused, match="its tables in the file of moves changed"):
        blog.run(move=blog.moving("posts"))


def test_a_variable_that_names_another_database_is_not_gone_on_with(blog, place):
    blog.run()
    other = place("sqlite")
    other.writer(POSTS, COMMENTS)
    with pytest.raises(HandoverRefused, match="B_URL changed since"):
        blog.run(ends=Ends(blog.ends.source, other.database))


def test_what_an_unknown_run_left_is_not_built_upon(blog):
    blog.run()
    blog.ledger.unlink()
    with pytest.raises(HandoverRefused, match="does not know of it"):
        blog.run()
    blog.remove()
    assert blog.run() is Ending.CAUGHT_UP


def test_a_mover_of_another_ledger_is_refused(blog, tmp_path):
    other = Site.__new__(Site)
    other.__dict__.update(blog.__dict__, folder=tmp_path / "elsewhere", watcher=Watcher())
    refused: list[HandoverFault] = []

    def run_as_well() -> None:
        with pytest.raises(Claimed) as caught:
            other.run()
        refused.append(caught.value)

    blog.watcher.at_rows[600] = run_as_well
    assert blog.run() is Ending.CAUGHT_UP
    assert "another process is at work on 'blog mover'" in str(refused[0])


def test_a_table_is_not_moved_into_itself(blog):
    with (
        pytest.raises(HandoverRefused, match="posts would move into itself"),
        open_site(blog.move, Ends(blog.ends.source, blog.ends.source)),
    ):
        pytest.fail("it was opened")


def catalogue(session) -> list:
    return sorted(session.rows("SELECT type, name FROM sqlite_master"))


def test_removed_it_leaves_nothing_but_the_rows(blog):
    before = catalogue(blog.source), catalogue(blog.target)
    blog.run()
    blog.remove()
    assert (catalogue(blog.source), catalogue(blog.target)) == before
    assert blog.target.scalar("SELECT count(*) FROM posts") == 2_000
    assert blog.phase() is Phase.NEW
    blog.remove()  # again, with nothing there
    blog.source.execute("DELETE FROM posts WHERE id = 5")
    assert blog.run() is Ending.CAUGHT_UP  # into a table that has rows


def test_removal_works_where_the_tables_were_altered_or_are_gone(blog):
    blog.run()
    blog.source.execute("ALTER TABLE posts ADD COLUMN note TEXT")
    blog.source.execute("DROP TABLE comments")
    blog.target.execute("DROP TABLE comments")
    blog.remove()
    assert [name for _, name in catalogue(blog.source) if "strangler" in name] == []


def test_a_removal_that_was_killed_is_ended_before_the_move_begins_again(blog):
    blog.run()
    broken = Ends(Flaky(blog.ends.source, range(2, 3)), blog.ends.target)  # capture's own
    with (
        pytest.raises(DatabaseUnreachable),
        open_ledger(blog.ledger, "remove") as ledger,
    ):
        remove(blog.move, broken, ledger)
    with pytest.raises(HandoverRefused, match="removal of blog was begun"):
        blog.run()
    blog.remove()
    assert blog.run() is Ending.CAUGHT_UP


def test_removal_does_not_go_to_other_databases_than_the_move(blog, place):
    blog.run()
    other = place("sqlite")
    with (
        pytest.raises(HandoverRefused, match="A_URL names"),
        open_ledger(blog.ledger, "remove") as ledger,
    ):
        remove(blog.move, Ends(other.database, blog.ends.target), ledger)
    assert blog.phase() is Phase.TAIL


def test_rows_that_differ_are_repaired_with_what_waited_carried_over(blog):
    blog.run()
    blog.spoil("UPDATE posts SET title = 'wrong ' || id WHERE id < 1500", "DELETE FROM comments")
    blog.source.execute("UPDATE posts SET title = 'newer' WHERE id = 3")
    assert blog.differences() > 1_000
    report = blog.repair()
    assert report.agrees
    assert blog.differences() == 0
    assert blog.target.scalar("SELECT title FROM posts WHERE id = 3") == "newer"


def test_tables_that_are_not_copied_are_not_repaired(blog):
    with pytest.raises(HandoverRefused, match="is not begun: only tables that are copied"):
        blog.repair()


def test_a_difference_that_a_waiting_change_explains_is_told_as_such(blog):
    blog.run()
    blog.source.execute("UPDATE posts SET title = 'newer' WHERE id = 3")
    blog.spoil("UPDATE posts SET title = 'wrong' WHERE id = 4")
    with open_site(blog.move, blog.ends) as site:
        report = compare(site, listed=10)
    told = sorted((each.key, each.stale) for each in report.differences)
    assert told == [((3,), True), ((4,), False)]


def test_status_tells_rows_and_how_long_changes_wait(blog):
    blog.run()
    blog.source.execute("UPDATE posts SET title = 'newer ' || id WHERE id IN (3, 4)")
    begun = look(blog.move, blog.ends, blog.ledger, wall=lambda: 4_000_000_000.0)
    assert begun.well
    assert begun.waiting.entries == 2
    assert begun.waiting.oldest_s > 1_000_000
    assert [(each.rows, each.done) for each in begun.tables] == [(2_000, True), (1, True)]


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_a_mover_whose_connections_are_killed_goes_on_with_new_ones(kind, place, tmp_path):
    site = Site(place(kind), place(kind), tmp_path)
    site.fill(2_000)
    with tailing(site):
        for number in range(3):
            kill_connections(kind, site)
            site.source.execute(f"INSERT INTO posts VALUES ({9000 + number}, 'late {number}')")
            with closing(site.ends.target.session()) as session:
                until(
                    lambda number=number, session=session: session.rows(
                        f"SELECT 1 FROM posts WHERE id = {9000 + number}"
                    ),
                    "the change is carried over",
                    timeout_s=30,
                )
    assert site.differences() == 0
    assert any("going on again" in each for each in site.watcher.told)
    site.remove()


@contextmanager
def tailing(site: Site) -> Iterator[None]:
    caught_up, endings = threading.Event(), []
    site.watcher.when["caught up"] = caught_up.set
    wishes = replace(ONCE, until_caught_up=False, claim_s=10.0)
    runner = threading.Thread(target=lambda: endings.append(site.run(wishes)), daemon=True)
    runner.start()
    try:
        assert caught_up.wait(30)
        yield
    finally:
        site.stop.set()
        runner.join(30)
    assert endings == [Ending.TAILING]


def kill_connections(kind: str, site: Site) -> None:
    """Those of the mover, as a server that restarts would."""
    kept = (
        [each.scalar("SELECT connection_id()") for each in (site.source, site.target)]
        if (kind == "mysql")
        else []
    )
    for session in (site.source, site.target):
        if kind == "postgresql":
            session.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name LIKE 'strangler blog%%'"
            )
            continue
        for (number,) in session.rows(
            "SELECT id FROM information_schema.processlist WHERE db = database()"
        ):
            if number not in kept:
                with suppress(pymysql.err.OperationalError):  # it has just gone by itself
                    session.execute(f"KILL {number}")


def test_a_copy_waits_until_the_connection_of_a_dead_one_is_gone(blog):
    with closing(blog.ends.target.session(NAME)) as dead:
        dead.claim(f"{NAME} copy")
        with pytest.raises(Claimed):
            blog.run()
    assert blog.run() is Ending.CAUGHT_UP


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_mover_that_is_not_gone_yet_at_a_server_is_waited_for(blog, side):
    name = {"source": f"{NAME} mover at the control", "target": f"{NAME} mover"}[side]
    dead = getattr(blog.ends, side).session()
    dead.claim(name)
    threading.Timer(0.6, dead.close).start()
    assert blog.run(replace(ONCE, claim_s=20.0)) is Ending.CAUGHT_UP
