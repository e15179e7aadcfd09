"""What ends a run or keeps it from beginning: tables and databases that are not as they were."""

from dataclasses import replace

import pytest

from strangler_proxy.handover.claiming import Claimed
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.run import Ending
from strangler_proxy.handover.site import Ends, open_site
from strangler_proxy.handover.status import look
from tests.integration.handover.run.sites import COMMENTS, ONCE, POSTS, Site, Watcher


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
