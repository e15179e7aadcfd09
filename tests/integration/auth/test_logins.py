"""The limits of logins over HTTP, counted in memory and in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import limits
import pytest
from werkzeug.test import TestResponse

from extracted.auth.clients import networks
from tests.e2e.faults.redis_server import RedisServer, redis_server
from tests.integration.auth.conftest import Serve, Service, someone
from tests.wire_tools.proxy import until

ANN = someone()
WRONG = {**ANN, "password": "wrong"}
TWO = {
    "login_limit": limits.parse("2/hour"),
    "login_account_limit": limits.parse("4/hour"),
    "trusted_proxy": networks("127.0.0.1"),
}


def log_in(service: Service, account: dict[str, str], client: str = "192.0.2.1") -> TestResponse:
    forwarded = {"X-Forwarded-For": f"203.0.113.1, {client}"}
    return service.client.post("/login", json=account, headers=forwarded)


def statuses(service: Service, account: dict[str, str], *clients: str) -> list[int]:
    return [log_in(service, account, client).status_code for client in clients]


def test_too_many_tries_are_a_429_that_says_when_to_come_back(serve: Serve) -> None:
    service = serve(**TWO)
    service.client.post("/register", json=ANN)
    assert statuses(service, WRONG, *["192.0.2.1"] * 2) == [401, 401]
    answer = log_in(service, ANN)
    wait_s = int(answer.headers["Retry-After"])
    assert 3500 < wait_s <= 3600
    assert (answer.status_code, answer.json) == (
        429,
        {
            "error": {
                "code": "too_many_logins",
                "message": f"Too many tries to log in; try again in {wait_s} seconds.",
            }
        },
    )
    assert log_in(service, ANN, "192.0.2.2").status_code == 200


def test_the_limit_does_not_tell_whether_there_is_an_account(serve: Serve) -> None:
    service = serve(**TWO)
    service.client.post("/register", json=ANN)
    tries = ["192.0.2.1"] * 3 + ["192.0.2.2", "192.0.2.3", "192.0.2.4"]
    known = statuses(service, WRONG, *tries)
    assert known == statuses(service, {**WRONG, "email": "nobody@example.org"}, *tries)
    assert known == [401, 401, 429, 401, 401, 429]


def test_whoever_logs_in_rightly_is_never_stopped(serve: Serve) -> None:
    service = serve(**TWO)
    service.client.post("/register", json=ANN)
    assert statuses(service, ANN, *["192.0.2.1"] * 8) == [200] * 8


def test_without_a_trusted_proxy_a_client_cannot_change_its_address(serve: Serve) -> None:
    service = serve(**{**TWO, "trusted_proxy": ()})
    assert statuses(service, WRONG, "192.0.2.1", "192.0.2.2", "192.0.2.3") == [401, 401, 429]


def test_who_tries_one_password_on_everybody_is_stopped_and_told_the_same(serve: Serve) -> None:
    service = serve(**{**TWO, "login_client_limit": limits.parse("3/hour")})
    service.client.post("/register", json=ANN)
    others = [{**ANN, "email": f"user{n}@example.org"} for n in range(3)]
    assert [log_in(service, each).status_code for each in others] == [401] * 3
    stopped = log_in(service, ANN)
    assert (stopped.status_code, stopped.json["error"]["code"]) == (429, "too_many_logins")
    assert int(stopped.headers["Retry-After"]) > 3500
    assert log_in(service, ANN, "192.0.2.2").status_code == 200


def test_registrations_past_their_limit_say_nothing_of_the_address(serve: Serve) -> None:
    service = serve(**{**TWO, "register_limit": limits.parse("2/hour")})

    def register(name: str, client: str = "192.0.2.1") -> TestResponse:
        forwarded = {"X-Forwarded-For": client}
        return service.client.post("/register", json=someone(name), headers=forwarded)

    assert [register("Ann").status_code for _ in range(2)] == [201, 409]
    for name in ("Ann", "Bob"):
        answer = register(name)
        wait_s = int(answer.headers["Retry-After"])
        told = f"Too many tries to register; try again in {wait_s} seconds."
        assert answer.status_code == 429
        assert answer.json == {"error": {"code": "too_many_registrations", "message": told}}
    assert register("Bob", "192.0.2.2").status_code == 201


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.mark.services
def test_workers_count_together_in_redis_and_each_alone_while_it_is_away(
    serve: Serve, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = (serve(**TWO, rate_limit_url=redis.url) for _ in range(2))
    one.client.post("/register", json=ANN)
    assert statuses(one, WRONG, "192.0.2.1") == [401]
    assert statuses(other, WRONG, *["192.0.2.1"] * 2) == [401, 429]
    assert log_in(one, ANN).status_code == 429
    redis.kill()
    assert statuses(one, WRONG, *["192.0.2.1"] * 3) == [401, 401, 429]
    assert log_in(other, ANN).status_code == 200
    assert caplog.text.count("RATE_LIMIT_URL fails") == 2
    redis.start()
    until(lambda: statuses(one, WRONG, "192.0.2.1") == [401], "Redis is asked again")
    assert statuses(one, WRONG, *["192.0.2.1"] * 2) == [401, 429]


@pytest.mark.services
def test_workers_count_a_clients_tries_together_and_right_ones_not(
    serve: Serve, redis: RedisServer
) -> None:
    limit = {"login_client_limit": limits.parse("3/hour"), "rate_limit_url": redis.url}
    one, other = (serve(**{**TWO, **limit}) for _ in range(2))
    one.client.post("/register", json=ANN)
    for service in (one, other):
        assert statuses(service, ANN, *["192.0.2.1"] * 3) == [200] * 3
    tries = [
        log_in(service, {**ANN, "email": f"user{n}@example.org"}).status_code
        for n, service in enumerate((one, other, one, other))
    ]
    assert tries == [401, 401, 401, 429]
