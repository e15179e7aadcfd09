"""Writers that bypass the proxy are named from what they wrote, or caught while it holds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from strangler_proxy.handover.bypassing import rehearse, seen
from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.cutover import Wishes
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Kind, Session, TableName
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.hold import HoldRefused
from strangler_proxy.handover.loading.later import left_to
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.ownership import read_ownership
from strangler_proxy.handover.reverse import install
from strangler_proxy.handover.site import Ends, Site, open_site
from strangler_proxy.handover.way import Owner
from strangler_proxy.handover.writer_log import WriterLog
from strangler_proxy.handover.writers import OTHERS, Caught, KnownWriters, Report, Writer
from tests.integration.handover.conftest import SERVERS, Place, kind_param
from tests.integration.handover.cutting import Capability, Writers
from tests.integration.handover.tables import side_of
from tests.wire_tools.proxy import until

Make = Callable[[str], Place]
WRITE = "INSERT INTO notes (word) VALUES ('{}')"
QUICK = Wishes(whole=False)


@pytest.fixture
def servers(place: Make, tmp_path: Path) -> Capability:
    return Capability(place("postgresql"), place("mysql"), tmp_path)


@contextmanager
def account(place: Place, user: str, program: str = "") -> Iterator[Session]:
    """A session of a user of its own, who may write everything."""
    url = make_url(place.url)
    role = f"{user}_{str(url.database)[-6:]}"
    admin = place.session()
    made, gone = {
        "postgresql": (
            (
                f"CREATE ROLE {role} LOGIN",
                f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
                f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}",
            ),
            (f"DROP OWNED BY {role}", f"DROP ROLE {role}"),
        ),
        "mysql": (
            (f"CREATE USER {role}@'%%'", f"GRANT ALL ON {url.database}.* TO {role}@'%%'"),
            (f"DROP USER {role}@'%%'",),
        ),
    }[place.kind]
    for statement in made:
        admin.execute(statement)
    own = url.set(username=role, password=None).render_as_string(hide_password=False)
    session = open_database(own).session()
    try:
        if place.kind == "postgresql":
            session.execute(f"SET application_name = '{program}'")
        yield session
    finally:
        session.close()
        for statement in gone:
            admin.execute(statement)


def by_user(place: Place, writers: Iterable[Writer]) -> dict[str, int]:
    """How many changes each of these accounts made, by user and program; not the test's own."""
    own = make_url(place.url).username
    found = {}
    for writer in writers:
        user, at, rest = writer.name.partition("@")
        address, _, program = rest.partition(" ")
        assert at
        assert address.strip("%"), "an address, and not what an account is allowed from"
        assert not re.search(r":\d{4,}$", address), "a port is no part of who writes"
        if user != own:
            found[f"{user.rpartition('_')[0]} {program}".strip()] = writer.changes
    return found


@contextmanager
def sited(capability: Capability, **known: tuple[str, ...]) -> Iterator[Site]:
    """The move as a command opens it, with these writers declared."""
    tables = [{"table": "notes"}, {"table": "counters"}]
    move = Move.model_validate(
        {"name": "m", "source_env": "A", "target_env": "B", "tables": tables, "writers": known}
    )
    control, candidate = (capability.places[owner].database for owner in Owner)
    with open_site(move, Ends(control, candidate)) as site:
        yield site


def drained(capability: Capability) -> None:
    """Every entry is carried over and forgotten."""
    with capability.open() as crossing:
        while crossing.step().entries:
            pass
        assert capability.way.turned().reverse_capture().backlog(crossing.source).entries == 0


# --- who wrote


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_each_writer_is_named_and_counted_once_before_and_after_its_changes_are_carried_over(
    place: Make, tmp_path: Path, kind: str
) -> None:
    capability = Capability(place(kind), place("sqlite"), tmp_path)
    here = capability.places[Owner.CONTROL]
    app, job = ("app", "job") if kind == "mysql" else ("app (gunicorn)", "job (psql)")
    with account(here, "app", "gunicorn") as one, account(here, "job", "psql") as other:
        for number in range(3):
            one.execute(WRITE.format(f"a{number}"))
        drained(capability)
        one.execute(WRITE.format("a"))
        other.execute(WRITE.format("b"))
        with sited(capability) as site:
            waiting = site.capture.writers(site.source)
            assert by_user(here, waiting) == {app: 4, job: 1}
        drained(capability)
        with sited(capability) as site:
            assert site.capture.writers(site.source) == waiting
    assert all(1.7e9 < each.first_at <= each.last_at for each in waiting)


@pytest.mark.services
def test_who_is_not_declared_may_bypass_the_proxy_in_both_directions(servers: Capability) -> None:
    for owner in Owner:
        here = servers.places[owner]
        own = f"{make_url(here.url).username}@*"
        with account(here, "app", "gunicorn") as one, account(here, "job", "psql") as other:
            one.execute(WRITE.format(f"one at {owner}"))
            known: dict[str, tuple[str, ...]] = {str(owner): ("app_*@*",), "may_fail": (own,)}
            with sited(servers, **known) as site:
                assert seen(site, owner).bypassing == ()
            other.execute(WRITE.format(f"other at {owner}"))
            with sited(servers, **known) as site:
                (found,) = seen(site, owner).bypassing
            assert by_user(here, [found]) == {"job (psql)" if owner == Owner.CONTROL else "job": 1}
            with sited(servers) as site:
                assert len(seen(site, owner).bypassing) == (3 if owner == Owner.CONTROL else 2)
        if owner == Owner.CONTROL:
            assert servers.cut(QUICK).done


def test_sqlite_says_that_it_names_nobody(files: Capability) -> None:
    files.places[Owner.CONTROL].writer(WRITE.format("a"))
    drained(files)
    with sited(files) as site:
        report = seen(site, Owner.CONTROL)
    assert report.bypassing == ()
    assert "SQLite does not tell who writes" in report.sentences[0]


@pytest.mark.services
def test_what_the_copy_leaves_to_the_tail_is_nobodys_change(servers: Capability) -> None:
    drained(servers)
    with sited(servers) as site:
        before = site.capture.writers(site.source)
        left_to(site.capture, servers.way.source)(site.pairs[1], (3,))
        assert site.capture.backlog(site.source).entries == 1
        assert site.capture.writers(site.source) == before
    drained(servers)
    with sited(servers) as site:
        assert site.capture.writers(site.source) == before


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_more_writers_than_are_kept_are_counted_together(place: Make, kind: str) -> None:
    here = place(kind)
    writer = here.writer("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
    table = writer.describe(TableName(None, "t"))
    side = side_of(writer, table, {"id": Kind.INTEGER}, ("id",))
    Capture(here.database, "m", [side]).install()
    log = WriterLog(here.database.dialect, "m", table.name.schema, most=4)
    for round_ in range(3):
        for number in range(10):
            with writer.transaction():
                log.add(writer, [Writer(f"w{number}@x", 2, 10.0 - round_, 20.0 + round_)])
    rows = sorted(log.rows(writer))
    assert rows == [
        (OTHERS, 42, 8.0, 22.0),
        *((f"w{number}@x", 6, 8.0, 22.0) for number in range(3)),
    ]


# --- a capture that an earlier version made


def grown_old(here: Place) -> Session:
    """The change table as it was before it noted who writes."""
    admin = here.session()
    admin.execute("ALTER TABLE strangler_m_changes DROP COLUMN writer")
    admin.execute("DROP TABLE strangler_m_writers")
    return admin


@pytest.mark.parametrize("kind", [kind_param(kind) for kind in SERVERS])
def test_a_capture_of_an_earlier_version_is_brought_up_to_date_under_its_writers(
    place: Make, tmp_path: Path, kind: str
) -> None:
    capability = Capability(place(kind), place("sqlite"), tmp_path)
    here = capability.places[Owner.CONTROL]
    drained(capability)
    with account(here, "app") as writer:
        grown_old(here)
        writer.execute(WRITE.format("before"))
        with sited(capability) as site:
            assert seen(site, Owner.CONTROL).bypassing == ()
            assert "start m` is run again" in seen(site, Owner.CONTROL).sentences[0]
        with pytest.raises(HandoverRefused, match="did not note who writes: run `strangler data"):
            drained(capability)
        install(capability.way)
        writer.execute(WRITE.format("after"))
        with sited(capability) as site:
            (found,) = site.capture.writers(site.source)  # what was there before is nobody's
        assert by_user(here, [found]) == {"app": 1}
        drained(capability)
        with sited(capability) as site:
            assert by_user(here, site.capture.writers(site.source)) == {"app": 1}
    assert capability.words(Owner.CANDIDATE) == ["after", "before"]


@pytest.mark.services
def test_brought_up_to_date_half_way_it_is_done_again(place: Make, tmp_path: Path) -> None:
    capability = Capability(place("mysql"), place("sqlite"), tmp_path)
    here = capability.places[Owner.CONTROL]
    drained(capability)
    grown_old(here).execute("ALTER TABLE strangler_m_changes ADD COLUMN writer VARCHAR(400)")
    install(capability.way)
    with account(here, "app") as writer:
        writer.execute(WRITE.format("a"))
        with sited(capability) as site:
            assert by_user(here, site.capture.writers(site.source)) == {"app": 1}


# --- caught in the act


def test_a_rehearsal_catches_who_writes_while_every_proxy_holds(capability: Capability) -> None:
    writer = capability.places[Owner.CONTROL].session()
    writes = iter(["a", "b"])

    def pause(seconds: float) -> None:
        for word in writes:
            writer.execute(WRITE.format(word))
        time.sleep(seconds)

    drained(capability)
    writer.execute(WRITE.format("before"))
    with capability.open() as crossing:
        report = rehearse(crossing, capability.proxies, KnownWriters(), 0.05, pause=pause)
        ((name, table, changes),) = [(it.name, it.table, it.changes) for it in caught(report)]
    assert (table.rpartition(".")[2], changes) == ("notes", 2)
    if capability.first.source.kind == "sqlite":
        assert name is None
        assert report.sentences[0].startswith("somebody made 2 changes to notes in 0.05 s of a")
    else:
        own = make_url(capability.places[Owner.CONTROL].url).username
        assert str(name).startswith(f"{own}@")
        assert report.sentences[0].startswith(f"{name} made 2 changes to public.notes in 0.05 s")
    drained(capability)
    assert capability.words(Owner.CANDIDATE) == ["a", "b", "before"]


def caught(report: Report) -> list[Caught]:
    """All that it tells of were caught in the act."""
    assert all(isinstance(each, Caught) for each in report.bypassing)
    return [each for each in report.bypassing if isinstance(each, Caught)]


def test_a_rehearsal_catches_nobody_where_all_write_through_a_proxy(capability: Capability) -> None:
    writers = Writers(capability, bypassing=False)
    with writers.writing():
        until(writers.more(20), "writes go on")
        with capability.open() as crossing:
            report = rehearse(crossing, capability.proxies, KnownWriters(), 0.2)
        until(writers.more(20), "they go on again")
    assert report.bypassing == ()
    assert report.sentences == ("nobody bypassed the proxies in 0.2 s of a rehearsal",)
    assert writers.errors == []
    assert not any(proxy.holding for proxy in capability.proxies)


def test_a_rehearsal_whose_hold_did_not_last_tells_nothing(files: Capability) -> None:
    proxy = files.proxies[0]

    def pause(_: float) -> None:
        until(lambda: not proxy.holding, "the hold has run out")

    with files.open() as crossing, pytest.raises(HoldRefused, match="tells nothing: it had run"):
        rehearse(crossing, files.proxies, KnownWriters(), 0.01, 0.01, pause=pause)


def test_a_rehearsal_gives_back_what_it_holds_when_it_is_told_to_stop(files: Capability) -> None:
    def stop() -> None:
        raise HandoverFault("told to stop")

    with files.open() as crossing:
        crossing.watch = stop
        with pytest.raises(HandoverFault, match="told to stop"):
            rehearse(crossing, files.proxies, KnownWriters(), 30.0)
    assert not any(proxy.holding for proxy in files.proxies)


def test_a_cut_over_is_refused_while_somebody_bypasses_a_proxy_until_it_is_told(
    files: Capability,
) -> None:
    writers = Writers(files)
    with writers.writing():
        until(writers.more(20), "writes go on")
        with pytest.raises(HandoverRefused, match=r"somebody made .* in 0\.5 s of a rehearsal"):
            files.cut(QUICK)
        assert not read_ownership(files.path).intent
        assert not any(proxy.holding for proxy in files.proxies)
        assert files.cut(replace(QUICK, despite_writers=True)).done
    assert writers.errors == []
    files.settled()
    writers.check()


def test_who_bypasses_a_proxy_until_the_fence_is_up_has_the_cut_over_undone_and_loses_nothing(
    capability: Capability,
) -> None:
    writer = capability.places[Owner.CONTROL].session()

    def bypasses(word: str) -> Callable[[str], None]:
        def write(step: str) -> None:
            if step == "held":
                writer.execute(WRITE.format(word))

        return write

    drained(capability)
    outcome = capability.cut(QUICK, bypasses("late"))
    assert (outcome.done, outcome.owner) == (False, Owner.CONTROL)
    assert re.match(
        r"\S+( \(.*\))? made 1 change to (public\.)?notes before the fence was up, with every",
        outcome.reason or "",
    )
    drained(capability)
    assert capability.words(Owner.CANDIDATE) == ["late"]
    told = capability.cut(replace(QUICK, despite_writers=True), bypasses("later"))
    assert told.done
    (warning,) = told.warnings
    assert "1 change to" in warning
    assert capability.words(Owner.CANDIDATE) == ["late", "later"]
    capability.settled()


@pytest.mark.services
def test_who_may_fail_stands_in_the_way_of_no_cut_over(servers: Capability) -> None:
    with account(servers.places[Owner.CONTROL], "job") as job:

        def bypasses(step: str) -> None:
            if step == "held":
                job.execute(WRITE.format("late"))

        wishes = replace(QUICK, writers=KnownWriters(may_fail=("job_*@*",)))
        outcome = servers.cut(wishes, bypasses)
    assert outcome.done, outcome.reason
    assert outcome.warnings == ()
    assert servers.words(Owner.CANDIDATE) == ["late"]


def test_what_waited_when_the_hold_began_is_nobodys_bypass(capability: Capability) -> None:
    def writes_before(step: str) -> None:
        if step == "prepared":
            capability.places[Owner.CONTROL].writer(WRITE.format("in time"))

    outcome = capability.cut(QUICK, writes_before)
    assert outcome.done, outcome.reason
    assert outcome.warnings == ()
