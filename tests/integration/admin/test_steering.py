"""What can be changed over the admin interface, and what refuses to be."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

import pytest

from strangler_proxy.admin.audit import AuditFailed
from strangler_proxy.admin.who import user
from strangler_proxy.config import ConfigError, Problem, load
from tests.integration.admin.conftest import TEXT, Admin

ME = user(os.getuid())


def served(admin: Admin) -> Any:
    route = load(admin.path).route("moving")
    assert route is not None
    return route.serve


@pytest.mark.parametrize(
    ("to", "written"),
    [
        ("candidate", "serve: candidate"),
        ("canary", "serve: canary"),
        (5, "serve: {candidate_percent: 5, sticky: client}"),
        (100, "serve: candidate"),
    ],
)
def test_a_flip_edits_the_file_and_has_it_served(admin: Admin, to: Any, written: str) -> None:
    answer = admin.remote("POST", "/routes/moving/serve", {"to": to})
    assert answer.status == 200
    assert answer.json["generation"] == 2
    assert answer.json["before"]["candidate_percent"] == 0
    assert written in admin.path.read_text()
    assert "# who answers" in admin.path.read_text()
    assert [order[0] for order in admin.proxy.told] == ["reload"]


def test_a_flip_may_say_what_callers_are_known_by(admin: Admin) -> None:
    order = {"to": 5, "sticky": "header:x-user"}
    assert admin.local("POST", "/routes/moving/serve", order).status == 200
    assert (served(admin).candidate_percent, served(admin).sticky) == (5, "header:x-user")


def test_a_canary_is_set_at_its_upstream(admin: Admin) -> None:
    answer = admin.local("POST", "/upstreams/new/canary", {"percent": 10, "sticky": "client"})
    assert answer.json["after"] == {"percent": 10, "sticky": "client"}
    assert load(admin.path).upstreams["new"].canary.percent == 10


@pytest.mark.parametrize(
    "fault",
    [
        ConfigError([Problem("strangler.yaml", 3, "listen", "cannot change")]),
        AuditFailed("the audit file cannot be written"),
    ],
)
def test_a_flip_that_is_refused_leaves_the_file_as_it_was(admin: Admin, fault: Exception) -> None:
    admin.proxy.fault = fault
    answer = admin.remote("POST", "/routes/moving/serve", {"to": "candidate"})
    assert answer.status == 422
    assert answer.json["problems"][0]["message"] in str(fault)
    assert admin.path.read_text() == TEXT


def test_flips_at_the_same_time_are_all_done(admin: Admin) -> None:
    orders = [("/routes/moving/serve", {"to": "canary"})] + [
        ("/upstreams/new/canary", {"percent": percent}) for percent in range(1, 12)
    ]
    threads = [
        threading.Thread(target=admin.remote, args=("POST", path, body)) for path, body in orders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admin.proxy.told) == 12
    assert served(admin).by_upstream
    assert load(admin.path).upstreams["new"].canary.percent in range(1, 12)


def test_breakers_addresses_and_the_end_are_handed_to_the_proxy(admin: Admin) -> None:
    assert admin.local("POST", "/breakers/new", {"state": "open"}).status == 200
    path = "/upstreams/new/addresses/%5B::1%5D:3003"
    assert admin.local("POST", path, {"draining": True}).status == 200
    assert admin.local("POST", "/reload").json == {"generation": 2}
    assert admin.local("POST", "/drain").json == {"status": "draining"}
    assert admin.proxy.told == [
        ("breaker", "new", "open", ME),
        ("drain", "new", "[::1]:3003", True, ME),
        ("reload", ME),
        ("stop", ME),
    ]


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (None, "admin address 127.0.0.1"),
        ("kim@example.org", "admin address 127.0.0.1, says kim@example.org"),
        ('kim (uid 0), says "root"', "admin address 127.0.0.1, says kim_uid_0_says_root_"),
        ("x" * 500, "admin address 127.0.0.1, says " + "x" * 64),
        ("\xff\xfe", "admin address 127.0.0.1, says _"),
    ],
)
def test_a_claim_over_the_address_is_told_as_one(
    admin: Admin, claim: str | None, told: str
) -> None:
    headers = {} if claim is None else {"X-Strangler-User": claim}
    assert admin.remote("POST", "/reload", **headers).status == 200
    assert admin.proxy.told == [("reload", told)]


def test_a_claim_over_the_socket_is_not_asked_for(admin: Admin) -> None:
    admin.local("POST", "/reload", **{"X-Strangler-User": "root"})
    assert admin.proxy.told == [("reload", ME)]


def test_users_without_a_name_are_told_by_their_number() -> None:
    assert user(4_000_000_001) == "uid 4000000001"


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/routes/nowhere/serve", "moving, page"),
        ("/upstreams/nobody/canary", "old, new"),
        ("/upstreams/nobody/addresses/127.0.0.1:1", "old, new"),
        ("/breakers/nobody", "old, new"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(admin: Admin, path: str, known: str) -> None:
    body = {"to": 5} if "serve" in path else {"percent": 5}
    answer = admin.local("POST", path, body)
    assert answer.status == 404
    assert f"there are: {known}" in answer.json["detail"]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/routes/moving/serve", {}, "to is missing"),
        ("/routes/moving/serve", {"to": "moon"}, "to: write control, candidate, canary"),
        ("/routes/moving/serve", {"to": 101}, "to: write control"),
        ("/routes/moving/serve", {"to": -1}, "to: write control"),
        ("/routes/moving/serve", {"to": True}, "to: write control"),
        ("/routes/moving/serve", {"to": 5.0}, "to: write control"),
        ("/routes/moving/serve", {"to": None}, "to: write control"),
        ("/routes/moving/serve", {"to": 5, "sticky": 7}, "sticky"),
        ("/routes/moving/serve", {"to": 5, "sticky": "moon"}, "'moon' is not a key"),
        ("/routes/moving/serve", {"to": 5, "for": 7}, "'for' is not a known key"),
        ("/routes/moving/serve", [], "object"),
        ("/routes/page/serve", {"to": 5}, "has no candidate"),
        ("/upstreams/new/canary", {"percent": "5"}, "percent"),
        ("/upstreams/new/canary", {"percent": True}, "percent"),
        ("/upstreams/new/canary", {"percent": 101}, "percent"),
        ("/upstreams/new/addresses/127.0.0.1:1", {"draining": "yes"}, "draining"),
        ("/upstreams/new/addresses/127.0.0.1:1", {"draining": 1}, "draining"),
        ("/breakers/new", {"state": "ajar"}, "open"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(
    admin: Admin, path: str, body: Any, words: str
) -> None:
    answer = admin.local("POST", path, body)
    assert answer.status == 422
    told = answer.json
    assert words in (told["detail"] if "detail" in told else told["problems"][0]["message"])
    assert admin.proxy.told == []
    assert admin.path.read_text() == TEXT


@pytest.mark.parametrize("body", [b"{", b"\xff", b"", b"[" * 60_000, b"to=5"])
def test_what_is_no_json_is_refused(admin: Admin, body: bytes) -> None:
    assert admin.local("POST", "/routes/moving/serve", body).status == 400


def test_a_body_that_is_too_long_is_refused(admin: Admin) -> None:
    body = b'{"to": 5, "sticky": "' + b"x" * 70_000 + b'"}'
    assert admin.local("POST", "/routes/moving/serve", body).status == 413


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", ""])
@pytest.mark.parametrize("path", ["/routes/moving/serve", "/reload", "/drain"])
def test_forms_are_refused_whatever_they_hold(admin: Admin, kind: str, path: str) -> None:
    answer = admin.remote("POST", path, b'{"to": 5}', Content_Type=kind)
    assert answer.status == 415
    assert admin.proxy.told == []


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (LookupError("'new' has no address 127.0.0.1:1; it has: 127.0.0.1:2"), 404, "it has"),
        (KeyError("'new' has no such"), 404, "'new' has no such"),
        (ValueError("'new' has no breaker"), 422, "has no breaker"),
        (TimeoutError(), 504, "in time"),
    ],
)
def test_what_the_proxy_will_not_do_is_told_in_its_words(
    admin: Admin, fault: Exception, status: int, words: str
) -> None:
    admin.proxy.fault = fault
    answer = admin.local("POST", "/upstreams/new/addresses/127.0.0.1:1", {"draining": True})
    assert (answer.status, answer.json["status"]) == (status, status)
    assert words in answer.json["detail"]


def test_a_file_that_cannot_be_read_is_told_as_its_problem(admin: Admin) -> None:
    admin.path.unlink()
    answer = admin.local("POST", "/routes/moving/serve", {"to": 5})
    assert answer.status == 422
    assert "cannot be read" in answer.json["problems"][0]["message"]


def test_client_that_leaves_in_the_middle_of_a_body_changes_nothing(admin: Admin) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(admin.socket))
        client.sendall(
            b"POST /routes/moving/serve HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"to": "candidate"}'
        )
    assert admin.local("GET", "/status").status == 200
    assert admin.proxy.told == []
    assert admin.path.read_text() == TEXT
