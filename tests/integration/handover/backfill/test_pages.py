"""The first copy goes on where it was, ends, waits when it is told to, and keeps what was read."""

import threading
from itertools import pairwise

import pytest

from strangler_proxy.handover.faults import (
    DatabaseUnreachable,
    HandoverFault,
)
from strangler_proxy.handover.throttle import Patience
from tests.integration.handover.backfill.copying import checkpoint


def test_a_target_with_rows_is_merged_into(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(number, "new") for number in range(1, 500)])
    files.target.put(pair.target, [(3, "old"), (1_000, "only here")])
    files.copy([pair])
    rows = dict(files.target.rows(pair.target))
    assert rows.pop(1_000) == "only here"  # verify's affair
    assert rows == dict(files.source.rows(pair.source))


def test_what_is_copied_is_not_copied_again(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(1, "a")])
    files.copy([pair])
    files.target.make("DELETE FROM posts")
    files.copy([pair])
    assert files.target.rows(pair.target) == []


def test_an_empty_table_is_done_at_once(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    files.copy(files.pairs("posts"))
    assert [(advance.rows, advance.done) for advance in files.told] == [(0, False), (0, True)]


def test_rows_of_megabytes_are_read_a_few_at_a_time(files) -> None:
    files.make("CREATE TABLE pictures (id INTEGER PRIMARY KEY, bytes BLOB)")
    (pair,) = files.pairs("pictures")
    files.source.put(pair.source, [(n, bytes([n]) * 500_000) for n in range(1, 120)])
    files.copy([pair])
    files.assert_equal(pair)
    steps = [advance.rows for advance in files.told if advance.rows and not advance.done]
    # A look at the weight comes every 50 rows; afterwards pages are as small as they must be.
    assert max(after - before for before, after in pairwise(steps)) <= 50
    assert len(steps) >= 3


def test_a_table_that_grows_as_fast_as_it_is_copied_has_an_end(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(n, "x") for n in range(1, 1_001)])

    def grow(advance) -> None:
        first = files.source.session.scalar("SELECT max(id) + 1 FROM posts")
        files.source.put(pair.source, [(n, "x") for n in range(first, first + 2_000)])
        assert first < 100_000

    files.copy([pair], grow)
    assert 1_000 <= len(files.target.rows(pair.target)) < len(files.source.rows(pair.source))


def test_ctrl_c_leaves_a_checkpoint_to_go_on_from_and_no_thread(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(n, "x") for n in range(1, 5_000)])

    def interrupt(advance) -> None:
        if advance.rows > 400:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        files.copy([pair], interrupt)
    assert threading.active_count() == before
    assert checkpoint(files) == len(files.target.rows(pair.target)) > 400
    files.copy([pair])
    files.assert_equal(pair)


class Dying:
    """A source that goes away after some pages."""

    kind = "sqlite"
    shown = "the source"

    def __init__(self, real, pages: int) -> None:
        self._real = real
        self._pages = pages
        self.dialect = real.dialect

    def session(self, mover=None, statement_s=60.0):
        session = self._real.session(mover, statement_s)
        stream = session.stream

        def dying(*arguments):
            self._pages -= 1
            if self._pages < 0:
                raise DatabaseUnreachable("the source went away")
            return stream(*arguments)

        session.stream = dying
        return session


def test_a_source_that_goes_away_ends_both_threads_and_keeps_what_was_read(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(n, "x") for n in range(1, 5_000)])
    before = threading.active_count()
    with pytest.raises(DatabaseUnreachable, match="went away"):
        files.copy([pair], source=Dying(files.source.database, 2))
    assert threading.active_count() == before
    assert checkpoint(files) == len(files.target.rows(pair.target)) >= 400


def test_a_probe_makes_it_wait_and_then_go_on(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    (pair,) = files.pairs("posts")
    files.source.put(pair.source, [(1, "x")])
    answers = [0.001, 0.001]
    files.copy([pair], patience=Patience((lambda: answers.pop() if answers else 0.0,)))
    assert [advance.waiting for advance in files.told] == [False, True, True, False, False]
    files.assert_equal(pair)


def test_a_probe_that_never_relents_ends_it_with_a_sentence(files) -> None:
    files.make("CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)")
    files.make("INSERT INTO posts VALUES (1, 'x')")
    pairs, patience = files.pairs("posts"), Patience((lambda: 0.01,), longest_s=0.05)
    with pytest.raises(HandoverFault, match="told to wait"):
        files.copy(pairs, patience=patience)
