"""One run of a move, from capture to caught up, and on until it is told to stop."""

import threading
from contextlib import closing
from dataclasses import replace

from strangler_proxy.handover.run import Ending
from strangler_proxy.handover.status import look
from tests.integration.handover.run.sites import ONCE
from tests.wire_tools.proxy import until


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


def test_status_tells_rows_and_how_long_changes_wait(blog):
    blog.run()
    blog.source.execute("UPDATE posts SET title = 'newer ' || id WHERE id IN (3, 4)")
    begun = look(blog.move, blog.ends, blog.ledger, wall=lambda: 4_000_000_000.0)
    assert begun.well
    assert begun.waiting.entries == 2
    assert begun.waiting.oldest_s > 1_000_000
    assert [(each.rows, each.done) for each in begun.tables] == [(2_000, True), (1, True)]
