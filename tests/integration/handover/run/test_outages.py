"""A run outlasts databases that go away, and waits for movers that are not gone yet."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import pymysql
import pytest

from strangler_proxy.handover.claiming import Claimed
from strangler_proxy.handover.faults import DatabaseUnreachable
from strangler_proxy.handover.run import Ending
from strangler_proxy.handover.site import Ends
from strangler_proxy.handover.status import look
from tests.integration.handover.conftest import SERVERS, kind_param
from tests.integration.handover.run.sites import NAME, ONCE, Flaky, Site
from tests.wire_tools.proxy import until


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


def test_a_database_that_is_away_is_told_apart_from_what_a_person_must_settle(blog):
    blog.run()
    flaky = Ends(blog.ends.source, Flaky(blog.ends.target, range(1, 2)))
    away = look(blog.move, flaky, blog.ledger)
    assert (away.well, away.problems, away.unanswered) == (False, [], ["the server went away"])
    back = look(blog.move, blog.ends, blog.ledger)
    assert (back.well, back.unanswered) == (True, [])


def test_an_outage_while_it_is_told_to_stop_ends_the_run(blog):
    blog.watcher.when["the server went away"] = blog.stop.set
    flaky = Ends(blog.ends.source, Flaky(blog.ends.target, range(4, 1_000)))
    assert blog.run(ends=flaky) is Ending.EARLY


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
