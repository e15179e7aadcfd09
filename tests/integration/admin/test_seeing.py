"""What the admin interface shows, and to whom."""

from __future__ import annotations

import logging
import socket
import stat
from contextlib import ExitStack
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from strangler_proxy.admin.guard import Attempts
from strangler_proxy.admin.site import BACKLOG, MOST_CONNECTIONS, _Bounded, _Closed
from tests.integration.admin.conftest import TOKEN, Admin

READ = ["/status", "/counts", "/figures", "/metrics", "/routes", "/upstreams", "/breakers", "/keys"]


@pytest.mark.parametrize("path", READ)
def test_every_resource_is_there_locally_and_for_who_has_the_token(admin: Admin, path: str) -> None:
    assert admin.local("GET", path).status == 200
    assert admin.remote("GET", path).status == 200
    assert admin.remote("GET", path, token=None).status == 401


def test_routes_say_who_serves_in_the_words_of_the_file(admin: Admin) -> None:
    moving, page = admin.local("GET", "/routes").json
    assert (moving["name"], moving["match"], moving["serve"]) == (
        "moving",
        "POST /moving",
        "control",
    )
    assert (moving["control"], moving["candidate"], moving["percent"]) == ("old", "new", 0)
    assert page["parts"] == {"author": "/users/1"}


def test_breakers_are_those_of_the_upstreams_that_have_one(admin: Admin) -> None:
    told = admin.local("GET", "/breakers").json
    assert [(row["upstream"], row["state"]) for row in told] == [("new", "open")]


def test_metrics_are_in_prometheus_form(admin: Admin) -> None:
    answer = admin.remote("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    names = {family.name for family in text_string_to_metric_families(answer.body.decode())}
    assert "strangler_generation" in names


def test_health_needs_no_token_and_turns_when_the_proxy_drains(admin: Admin) -> None:
    serving = admin.remote("GET", "/health", token=None)
    assert (serving.status, serving.json) == (200, {"status": "serving"})
    admin.proxy.stopping = True
    draining = admin.remote("GET", "/health", token=None)
    assert (draining.status, draining.json) == (503, {"status": "draining"})


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN} and more",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xff\xfe",
    ],
)
def test_whoever_has_not_the_token_is_turned_away_with_a_challenge(
    admin: Admin, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for path in ("/status", "/no/such", "/health/../status"):
        answer = admin.remote("GET", path, token=None, **headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json["status"] == 401
    assert admin.remote("POST", "/reload", token=None, **headers).status == 401
    assert admin.proxy.told == []


def test_the_scheme_may_be_written_in_any_case(admin: Admin) -> None:
    answer = admin.remote("GET", "/status", token=None, Authorization=f"bearer  {TOKEN}")
    assert answer.status == 200


def test_failed_attempts_are_told_a_line_every_few_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    attempts = Attempts(lambda: now)
    for _ in range(1000):
        attempts.failed("10.0.0.1", "a wrong token")
    now = 6.0
    attempts.failed("10.0.0.2", "no token")
    first, second = (record.getMessage() for record in caplog.records)
    assert "10.0.0.1 was turned away with a wrong token" in first
    assert "999 more" in second


def test_a_failed_attempt_is_in_the_log_without_what_was_sent(
    admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    admin.remote("GET", "/status", token="s3cret")
    assert "127.0.0.1 was turned away" in caplog.text
    assert "s3cret" not in caplog.text


def test_pages_in_browsers_are_refused_even_with_the_token(admin: Admin) -> None:
    for path in ("/status", "/health"):
        assert admin.remote("GET", path, Origin="http://evil.example").status == 403
    assert admin.remote("POST", "/reload", Origin="null").status == 403
    assert admin.proxy.told == []


def test_problems_are_json(admin: Admin) -> None:
    missing = admin.local("GET", "/no/such")
    assert (missing.status, missing.json["title"]) == (404, "Not Found")
    wrong = admin.local("GET", "/reload")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")


def test_what_goes_wrong_inside_is_told_in_the_log_and_not_outside(
    admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    admin.proxy.fault = RuntimeError("a secret of the inside")
    answer = admin.remote("GET", "/counts")
    assert (answer.status, answer.json["title"]) == (500, "Internal Server Error")
    assert b"secret" not in answer.body
    assert any(
        record.levelno == logging.ERROR and "GET /counts" in record.getMessage()
        for record in caplog.records
    )


def test_the_socket_is_its_owners_alone(admin: Admin) -> None:
    assert stat.S_IMODE(admin.socket.stat().st_mode) == 0o600


def test_strangers_that_say_nothing_take_a_bounded_number_of_connections(admin: Admin) -> None:
    most = MOST_CONNECTIONS + BACKLOG
    silent: list[socket.socket] = []
    try:
        while len(silent) < most + 8:
            silent.append(socket.create_connection(("127.0.0.1", admin.port)))
            admin.local("GET", "/health")  # so that the last ones have been accepted
        for one in silent[:8]:
            one.settimeout(10)
            assert one.recv(1) == b""
        assert admin.local("GET", "/status").status == 200
    finally:
        for one in silent:
            one.close()


@pytest.mark.parametrize(
    "said", [b"GET /health HTTP/1.1\r\nX: half a h", b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"]
)
def test_strangers_that_ask_for_nothing_shut_nobody_out(admin: Admin, said: bytes) -> None:
    with ExitStack() as strangers:
        for _ in range(MOST_CONNECTIONS + BACKLOG):
            one = socket.create_connection(("127.0.0.1", admin.port))
            strangers.enter_context(one)
            one.sendall(said)
        for _ in range(3):
            assert admin.remote("GET", "/status").status == 200


def test_who_is_being_answered_is_not_closed_for_a_newcomer() -> None:
    answered, idle, newcomer = FakeConnection(), FakeConnection(), FakeConnection()
    server = FakeServer([answered] * (MOST_CONNECTIONS - 1) + [idle], newcomer)
    made = _Bounded(cast(web.AppRunner, SimpleNamespace(server=server)), {answered})
    assert made() is newcomer
    assert (idle.transport, answered.transport) == (None, "open")
    server.connections[-1] = answered
    assert isinstance(made(), _Closed)


class FakeConnection:
    def __init__(self) -> None:
        self.transport: str | None = "open"

    def force_close(self) -> None:
        self.transport = None


class FakeServer:
    """Has these connections, and makes the next."""

    def __init__(self, connections: list[FakeConnection], newcomer: FakeConnection) -> None:
        self.connections, self._newcomer = connections, newcomer

    def __call__(self) -> FakeConnection:
        return self._newcomer
