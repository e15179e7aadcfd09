"""Who may bypass the proxy is decided by what was seen and what moves.yaml declares."""

from __future__ import annotations

import pytest

from strangler_proxy.handover.writers import (
    OTHERS,
    Caught,
    KnownWriters,
    Writer,
    judge_caught,
    judge_seen,
    matches,
    tallied,
)

APP = Writer("blog@10.0.0.5 (gunicorn)", 1204, 1.7e9, 1.7e9 + 60)
CRON = Writer("cron@10.0.0.9", 3, 1.7e9, 1.7e9 + 1.5)
BOTH = KnownWriters(control=("blog@10.0.0.*",), may_fail=("cron@*",))


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("blog@10.0.0.*", "blog@10.0.0.5", True),
        ("blog@10.0.0.*", "blog@10.0.1.5", False),
        ("blog@10.0.0.5", "blog@10.0.0.5 (gunicorn)", True),
        ("blog@* (gunicorn)", "blog@10.0.0.5 (gunicorn)", True),
        ("blog@* (gunicorn)", "blog@10.0.0.5 (psql)", False),
        ("blog@* (gunicorn)", "blog@10.0.0.5", False),
        ("blog@10.0.0.[56]", "blog@10.0.0.6 (a (b))", True),
        ("Blog@*", "blog@10.0.0.5", False),
    ],
)
def test_a_pattern_without_a_program_stands_for_every_program(
    pattern: str, name: str, meant: bool
) -> None:
    assert matches(name, [pattern]) is meant


def test_with_nothing_declared_one_alone_is_the_application_and_of_several_each_is_told() -> None:
    alone = judge_seen([APP], KnownWriters(), "control")
    assert alone.bypassing == ()
    assert alone.sentences == (
        "blog@10.0.0.5 (gunicorn) was seen to write: 1,204 changes, the last at "
        "2023-11-14T22:14:20Z; it is taken for the application behind the proxy",
    )
    several = judge_seen([APP, CRON], KnownWriters(), "control")
    assert several.bypassing == (APP, CRON)
    assert "3 changes, the last at 2023-11-14T22:13:21Z: it may bypass" in several.sentences[1]


@pytest.mark.parametrize(
    ("known", "bypassing"),
    [
        (BOTH, ()),
        (KnownWriters(control=("blog@*",)), (CRON,)),
        (KnownWriters(control=("nobody@*",)), (APP, CRON)),
        (KnownWriters(candidate=("blog@*", "cron@*")), (APP, CRON)),
        (KnownWriters(may_fail=("cron@*",)), ()),
        (KnownWriters(control=("*",)), ()),
    ],
)
def test_who_is_seen_and_not_declared_at_that_side_may_bypass_the_proxy(
    known: KnownWriters, bypassing: tuple[Writer, ...]
) -> None:
    report = judge_seen([APP, CRON], known, "control")
    assert report.bypassing == bypassing
    assert report.sentences


def test_one_alone_that_is_not_the_declared_one_is_told() -> None:
    assert judge_seen([CRON], KnownWriters(control=("blog@*",)), "control").bypassing == (CRON,)
    assert judge_seen([CRON], KnownWriters(candidate=("blog@*",)), "candidate").bypassing == (CRON,)


def test_writers_too_many_to_be_kept_are_never_taken_for_the_application() -> None:
    others = Writer(OTHERS, 5, 1.7e9, 1.7e9)
    assert judge_seen([others], KnownWriters(), "control").bypassing == (others,)
    assert judge_seen([], KnownWriters(), "control").sentences == ("none was seen",)


def test_who_is_caught_is_told_whatever_is_declared_unless_it_may_fail() -> None:
    app, cron = Caught(APP.name, "posts", 1), Caught(CRON.name, "posts", 1200)
    report = judge_caught([app, cron], BOTH, "in 0.5 s of a rehearsal")
    assert report.bypassing == (app,)
    assert report.sentences == (
        "blog@10.0.0.5 (gunicorn) made 1 change to posts in 0.5 s of a rehearsal, with every "
        "request held and none in flight: it bypasses the proxy, or goes on with a request that "
        "was answered before it had ended (504)",
    )
    assert judge_caught([cron], BOTH, "now").bypassing == ()
    assert judge_caught([], KnownWriters(), "now").sentences == ("nobody bypassed the proxies now",)


def test_who_has_no_name_is_caught_whoever_may_fail() -> None:
    somebody = Caught(None, "posts", 2)
    report = judge_caught([somebody], KnownWriters(may_fail=("*",)), "now")
    assert report.bypassing == (somebody,)
    assert report.sentences[0].startswith("somebody made 2 changes to posts now")


def test_what_is_known_of_one_writer_from_several_places_is_summed_up() -> None:
    rows = [("b@x", 1, 5.0, 6.0), (None, 9, 1.0, 9.0), ("", 1, 1.0, 1.0), ("b@x", 2, 4.0, 5.0)]
    assert tallied(rows) == [Writer("b@x", 3, 4.0, 6.0), Writer("replication", 1, 1.0, 1.0)]
