"""What the chassis gives each service: errors, health, request ids, logs, tokens."""

from __future__ import annotations

import json
import logging

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from extracted.chassis import errors, health, logs
from extracted.chassis.tokens import TokenVerifier
from tests.blog import SECRET, bearer, token


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    logs.init_app(app)
    errors.init_app(app)
    app.register_blueprint(health.blueprint("sample"))
    verifier = TokenVerifier(SECRET)

    @app.get("/me")
    def me() -> str:
        return str(verifier.require(request).user_id)

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("a private detail")

    return app.test_client()


def test_health_names_the_service(client: FlaskClient) -> None:
    assert client.get("/health").json == {"status": "ok", "service": "sample"}


def test_health_tells_the_details_and_does_not_fail_with_them() -> None:
    app = Flask(__name__, static_folder=None)
    backlogs = [{"outbox": {"events": 3}}]
    app.register_blueprint(health.blueprint("sample", backlogs.pop))
    told = app.test_client().get("/health")
    assert told.json["details"] == {"outbox": {"events": 3}}
    failing = app.test_client().get("/health")
    assert (failing.status_code, failing.json["status"]) == (200, "ok")
    assert failing.json["details"] == {"error": "IndexError"}


def test_errors_of_the_framework_are_json(client: FlaskClient) -> None:
    missing, wrong = client.get("/nowhere"), client.delete("/health")
    assert (missing.status_code, missing.json["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["Allow"]


def test_an_unexpected_failure_tells_the_client_nothing_and_the_log_all(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get("/broken")
    assert (answer.status_code, answer.json["error"]["code"]) == (500, "internal_error")
    assert "private" not in answer.text
    assert "a private detail" in caplog.text


def test_a_request_id_is_kept_or_made(client: FlaskClient) -> None:
    assert client.get("/health", headers={"X-Request-ID": "a-1"}).headers["X-Request-ID"] == "a-1"
    made = [client.get("/health").headers["X-Request-ID"] for _ in range(2)]
    assert made[0] != made[1]


@pytest.mark.parametrize("wrong", ["with spaces", "x" * 129, "{}"])
def test_a_request_id_that_could_spoil_a_log_is_replaced(client: FlaskClient, wrong: str) -> None:
    answered = client.get("/health", headers={"X-Request-ID": wrong}).headers["X-Request-ID"]
    assert answered != wrong


def test_a_log_line_is_one_json_object() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "two\nlines %s", ("ä",), None)
    line = logs.JsonLines("sample").format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "two\nlines ä"
    assert json.loads(line)["service"] == "sample"


def test_a_valid_token_names_its_caller(client: FlaskClient) -> None:
    assert client.get("/me", headers=bearer(17)).text == "17"


BAD_TOKENS = {
    "none": "",
    "no scheme": token(),
    "another scheme": f"Basic {token()}",
    "nothing after the scheme": "Bearer ",
    "garbage": "Bearer garbage",
    "another secret": f"Bearer {token(secret='y' * 40)}",
    "expired": f"Bearer {token(lives_s=-1)}",
    "subject is no number": f"Bearer {token(sub='me')}",
    "no subject": f"Bearer {token(sub=None)}",
    "unsigned": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIiwiZXhwIjo5OTk5OTk5OTk5fQ.",
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_any_other_token_is_refused(client: FlaskClient, kind: str) -> None:
    answer = client.get("/me", headers={"Authorization": BAD_TOKENS[kind]})
    assert (answer.status_code, answer.json["error"]["code"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
