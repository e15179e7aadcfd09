"""Rows that differ are repaired once they are copied, and waiting changes explain some."""

import pytest

from strangler_proxy.handover.comparing import compare
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.site import open_site


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
