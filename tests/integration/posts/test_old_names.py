"""What auth has told before its step was undone renames nobody when both steps are done again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pika
import pytest
from flask.testing import FlaskClient
from sqlalchemy import MetaData

from extracted.auth.app import create_app as create_auth
from extracted.chassis.database import open_engine
from extracted.chassis.events import open_broker
from extracted.chassis.events.port import DELAYS_S
from extracted.chassis.events.rabbitmq.topology import Names
from extracted.chassis.outbox import outbox_table
from extracted.chassis.outbox_store import SqlOutbox
from extracted.chassis.relaying import Relay
from extracted.posts.consumer import SUBSCRIPTION
from extracted.posts.opening import open_storage
from extracted.posts.service import Repository
from extracted.posts.settings import ConsumerSettings
from scripts import stack as site_parts
from scripts import step_2_auth
from scripts.processes import ROOT
from strangler_proxy.config import load
from strangler_proxy.steps.parts import RunWhenUndone
from strangler_proxy.steps.script import Site
from strangler_proxy.steps.step import Part
from tests.consuming import consuming
from tests.integration.auth.conftest import settings_in
from tests.integration.posts.running import settings
from tests.integration.posts.storages import write, writer
from tests.services import service_url
from tests.unit.steps.fakes import FakePace
from tests.wire_tools.proxy import until

PORTS = site_parts.Ports(1, 2, 3, 4, 5, 6, 7, 8, 9)


@dataclass
class Services:
    """Auth and posts with a broker between them; what sends and what handles runs when told."""

    auth: FlaskClient
    outbox: SqlOutbox
    posts: Repository
    consumer: ConsumerSettings

    def account(self, name: str) -> dict[str, str]:
        """A new user's token, as a header."""
        account = {"email": f"{name}@example.org".lower(), "password": "secret123", "name": name}
        self.auth.post("/register", json=account)
        return {"Authorization": f"Bearer {self.auth.post('/login', json=account).json['token']}"}

    def rename(self, user_id: int, name: str, token: dict[str, str]) -> None:
        answer = self.auth.patch(f"/users/{user_id}", json={"name": name}, headers=token)
        assert answer.status_code == 200

    def send(self) -> None:
        """All that waits in auth's outbox."""
        publisher = open_broker(self.consumer.broker_url).publisher()
        with closing(publisher):
            while Relay(self.outbox, publisher).send_waiting():
                pass
        assert self.outbox.backlog().events == 0

    def make_queue(self) -> None:
        """As the posts step does when it is done for the first time."""
        with closing(open_broker(self.consumer.broker_url).consumer(SUBSCRIPTION)) as consumer:
            assert consumer.receive(0) is None

    def fail_once(self) -> None:
        """The consumer's first try of what comes first, before it is stopped."""
        broker = open_broker(self.consumer.broker_url)
        with closing(broker.consumer(SUBSCRIPTION)) as consumer:
            delivery = consumer.receive(20)
            assert delivery is not None
            consumer.retry(delivery, DELAYS_S[0])

    def kept(self) -> int:
        """How many events the queue keeps."""
        with closing(open_broker(self.consumer.broker_url).contents("posts")) as contents:
            return contents.count()

    def author_of(self, post_id: int) -> str:
        post = self.posts.find(post_id)
        assert post is not None
        return post.author_name


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.services)])
def broker_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A broker of the test's own."""
    if request.param == "embedded":
        yield f"sqlite:///{tmp_path}/events.db"
        return
    server = service_url("amqp")
    names = Names(f"test-{uuid.uuid4().hex[:12]}")
    yield f"{server}?namespace={names.namespace}"
    with closing(pika.BlockingConnection(pika.URLParameters(server))) as connection:
        channel = connection.channel()
        waits = [names.retry("posts", delay_s) for delay_s in DELAYS_S]
        for queue in (names.queue("posts"), names.dead("posts"), *waits):
            channel.queue_delete(queue)
        channel.exchange_delete(names.exchange)


@pytest.fixture
def services(stack: ExitStack, tmp_path: Path, broker_url: str) -> Services:
    of_auth = replace(settings_in(tmp_path), broker_url=broker_url)
    auth = create_auth(of_auth)
    stack.callback(auth.extensions["close"])
    engine = open_engine(of_auth.database_url)
    stack.callback(engine.dispose)
    of_posts = settings(tmp_path, broker_url=of_auth.broker_url)
    storage = stack.enter_context(closing(open_storage(of_posts.database_url)))
    return Services(
        auth.test_client(),
        SqlOutbox(engine, outbox_table(MetaData())),
        storage.repository(),
        ConsumerSettings(database_url=of_posts.database_url, broker_url=of_auth.broker_url),
    )


@pytest.fixture
def site(tmp_path: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site that has these databases and this broker."""
    environment = site_parts.environment(tmp_path, PORTS, site_parts.new_secrets())
    for name, value in {**environment, "BROKER_URL": broker_url}.items():
        monkeypatch.setenv(name, value)
    routes = tmp_path / "strangler.yaml"
    site_parts.write_routes(ROOT / "strangler.yaml", routes, PORTS)
    return Site(load(routes), routes, tmp_path / ".strangler")


def before_the_service(site: Site, **options: str) -> list[Part]:
    """The auth step's parts whose undo comes when the service has ended, in that order."""
    step = step_2_auth.declare(step_2_auth.CanaryOptions(**options), site)
    at = [stage.name for stage in step.stages].index("service")
    return [stage.part for stage in reversed(step.stages[:at]) if stage.part]


def test_a_rename_that_auth_told_of_before_its_undo_does_not_win_over_one_in_the_monolith(
    services: Services, site: Site
) -> None:
    services.make_queue()
    ann, bob = services.account("Ann"), services.account("Bob")
    services.rename(1, "Annie", ann)
    services.send()
    services.fail_once()  # is to be tried again; what is behind waits too
    services.rename(1, "Anna", ann)  # waits in the outbox
    assert services.outbox.backlog().events == 1
    until(lambda: services.kept() == 3, "all that was in hand is back", 20)
    for part in before_the_service(site):
        part.undo({}, FakePace())
    assert services.kept() == 0

    # The monolith renames her, and tells nobody; then both steps are done again.
    of_ann = write(services.posts, writer(1, "Anne"))
    of_bob = write(services.posts, writer(2, "Bob"))
    services.rename(2, "Rob", bob)
    services.send()
    with consuming(services.consumer):
        until(lambda: services.author_of(of_bob.id) == "Rob", "the newest event is handled", 40)
    assert services.author_of(of_ann.id) == "Anne"


@pytest.mark.parametrize("options", [{}, {"external": "http://127.0.0.1:3"}])
def test_what_waits_to_be_sent_is_forgotten_before_the_queue_is_emptied(
    site: Site, options: dict[str, str]
) -> None:
    parts = before_the_service(site, **options)
    outbox, queue = (part for part in parts if isinstance(part, RunWhenUndone))
    assert "extracted.chassis.relay --forget" in outbox.back
    assert "extracted.chassis.events empty --queue posts --yes" in queue.back
