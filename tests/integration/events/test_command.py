"""`python -m extracted.chassis.events`, the relay's `--status` and `--forget`, as people do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from extracted.chassis.events.command import app
from extracted.chassis.events.envelope import happened
from extracted.chassis.events.payloads import Person, PostCreated
from extracted.chassis.events.port import Consumer
from extracted.chassis.relay import app as relay_app
from tests.integration.events.conftest import Place, empty, eventually, received, taken
from tests.integration.events.outboxes import Desk, renamed
from tests.publishing import publish
from tests.services import scratch_database

AUTHOR = Person(id=7, name="미나", email="mina@example.org", language="ko")


def run(place: Place, *arguments: str) -> Result:
    return run_command(place, "dead", *arguments)


def run_command(place: Place, *arguments: str) -> Result:
    environment = {"BROKER_URL": place.url, "COLUMNS": "300"}
    return CliRunner().invoke(app, [*arguments, "--queue", "mail"], env=environment)


@pytest.fixture
def consumer(place: Place) -> Consumer:
    made = place.consumer()
    assert empty(made)
    return made


def buried(place: Place, consumer: Consumer, reason: str = "SMTPRecipientsRefused: 550") -> str:
    """The id of an event that is put aside."""
    event = happened(PostCreated(post_id=5, title="첫 글", author=AUTHOR))
    publish(place.publisher(), event.message())
    consumer.bury(received(consumer), reason)
    return event.id


def test_dead_letters_are_listed_for_people_and_for_programs(
    place: Place, consumer: Consumer
) -> None:
    first, second = buried(place, consumer), buried(place, consumer, "bad\x1b[31m\n[red]news")
    told = run(place, "list")
    assert told.exit_code == 0
    assert all(word in told.output for word in (first, second, "post:5", "550", "[red]news"))
    assert "\x1b[31m" not in told.output
    listed = json.loads(run(place, "list", "--json").output)
    assert [letter["id"] for letter in listed] == [first, second]
    assert listed[0]["tries"] == 1
    shown = json.loads(run(place, "show", second).output)
    assert shown["event"]["payload"]["author"]["email"] == AUTHOR.email


def test_they_are_replayed_and_discarded_by_id_or_all(place: Place, consumer: Consumer) -> None:
    first, second, third = (buried(place, consumer) for _ in range(3))
    assert run(place, "discard", second).output == "mail: 1 discarded\n"
    assert json.loads(run(place, "replay", first, "--json").output) == {
        "queue": "mail",
        "replayed": 1,
    }
    assert taken(consumer, 1) == [first]
    assert run(place, "replay", "--all").exit_code == 0
    assert taken(consumer, 1) == [third]
    assert "no dead letters" in run(place, "list").stderr


def test_what_is_not_there_and_what_is_half_said_are_told(place: Place, consumer: Consumer) -> None:
    nothing = run(place, "replay", "id-9")
    assert (nothing.exit_code, "1 of these ids" in nothing.stderr) == (1, True)
    assert run(place, "show", "id-9").exit_code == 1
    for half in (("replay",), ("discard", "--all", "id-9")):
        assert run(place, *half).exit_code == 2


def test_a_queue_is_emptied_only_if_that_is_confirmed(place: Place, consumer: Consumer) -> None:
    buried(place, consumer)
    publish(place.publisher(), happened(PostCreated(post_id=6, title="T", author=AUTHOR)).message())
    consumer.close()
    waiting = {"queue": "mail", "waiting": 2}
    eventually(
        lambda: json.loads(run_command(place, "empty", "--json").output) == waiting, "both wait"
    )
    asked = run_command(place, "empty")
    assert (asked.exit_code, asked.output) == (
        *(0, "mail: 2 would be thrown away; --yes does it\n"),
    )
    assert run_command(place, "empty", "--yes").output == "mail: 2 thrown away\n"
    again = run_command(place, "empty", "--yes", "--json")
    assert json.loads(again.output) == {"queue": "mail", "emptied": 0}
    assert empty(place.consumer())
    assert "no dead letters" in run(place, "list").stderr


@pytest.mark.parametrize("command", [("dead", "list"), ("empty", "--yes")])
@pytest.mark.parametrize(
    ("url", "code", "told"),
    [
        ("kafka://somewhere", 2, "BROKER_URL is no broker's address"),
        ("amqp://guest:guest@127.0.0.1:1/", 1, "RabbitMQ at 127.0.0.1:1 cannot be used"),
        ("sqlite:////nonexistent/events.db", 1, "/nonexistent/events.db cannot be used"),
    ],
)
def test_a_broker_that_cannot_be_used_is_named(
    command: tuple[str, ...], url: str, code: int, told: str
) -> None:
    done = CliRunner().invoke(app, [*command, "--queue", "mail", "--broker", url])
    assert done.exit_code == code
    assert told in done.stderr


def test_the_relay_says_what_waits_without_sending_it(tmp_path: Path) -> None:
    desk = Desk(f"sqlite:///{tmp_path}/service.db")
    desk.record(renamed("a"), renamed("b"))
    environment = {"DATABASE_URL": desk.url, "BROKER_URL": f"sqlite:///{tmp_path}/events.db"}
    told = CliRunner().invoke(relay_app, ["--status", "--json"], env=environment)
    assert json.loads(told.output)["events"] == 2
    assert desk.store.backlog().events == 2
    desk.engine.dispose()


def test_the_relay_forgets_what_waits_and_says_how_many_that_were(tmp_path: Path) -> None:
    desk = Desk(f"sqlite:///{tmp_path}/service.db")
    desk.record(renamed("a"), renamed("b"))
    environment = {"DATABASE_URL": desk.url}
    done = CliRunner().invoke(relay_app, ["--forget"], env=environment)
    assert (done.exit_code, done.output) == (0, "2 events that waited are thrown away\n")
    again = CliRunner().invoke(relay_app, ["--forget", "--json"], env=environment)
    assert json.loads(again.output) == {"forgotten": 0}
    both = CliRunner().invoke(relay_app, ["--forget", "--status"], env=environment)
    assert both.exit_code == 2
    assert desk.store.backlog().events == 0
    desk.engine.dispose()


@pytest.mark.services
@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        ("mysql", "mysql"),
        ("mysql", "mariadb"),
        ("postgresql", "postgresql"),
        ("postgresql", "postgres"),
    ],
)
def test_the_relay_finds_an_outbox_by_the_addresses_that_services_take(
    kind: str, scheme: str
) -> None:
    with scratch_database(kind) as url:
        desk = Desk(url)
        desk.record(renamed("a"))
        desk.engine.dispose()
        environment = {"DATABASE_URL": f"{scheme}:{url.partition(':')[2]}"}
        told = CliRunner().invoke(relay_app, ["--status", "--json"], env=environment)
    assert (told.exit_code, json.loads(told.output)["events"]) == (0, 1)


def test_the_relay_refuses_addresses_that_cannot_be(tmp_path: Path) -> None:
    good = {"DATABASE_URL": f"sqlite:///{tmp_path}/service.db", "BROKER_URL": "sqlite:////e.db"}
    for name in good:
        for wrong in ("nonsense", "mysql://root@db:hush/auth", "mysql+mysqldb://db/auth", ""):
            done = CliRunner().invoke(relay_app, env={**good, name: wrong})
            assert done.exit_code == 2
            assert name in done.stderr
            assert "hush" not in done.stderr
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("option", "cannot"), [("--status", "read"), ("--forget", "emptied")])
def test_an_outbox_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, option: str, cannot: str
) -> None:
    for url in ("mysql://root@127.0.0.1:1/auth", f"sqlite:///{tmp_path}/empty.db"):
        done = CliRunner().invoke(relay_app, [option], env={"DATABASE_URL": url})
        assert done.exit_code == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"The outbox cannot be {cannot}: ")
