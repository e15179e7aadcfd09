"""A removal takes away all that a move has made, and nothing else."""

import pytest

from strangler_proxy.handover.faults import DatabaseUnreachable, HandoverRefused
from strangler_proxy.handover.ledger import open_ledger
from strangler_proxy.handover.removal import remove
from strangler_proxy.handover.run import Ending
from strangler_proxy.handover.site import Ends
from strangler_proxy.handover.standing import Phase
from tests.integration.handover.run.sites import Flaky


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
