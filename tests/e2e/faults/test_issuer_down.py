"""The issuer, whose published keys tokens are verified by, is away, stopped, or never was there."""

from __future__ import annotations

import base64
import json
import os
import signal
import time

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.e2e.faults.conftest import Stage, Times, within
from tests.e2e.faults.load import Seen, ask, assert_posts_once, assert_untouched, statuses
from tests.e2e.faults.running import Service
from tests.e2e.proxy.conftest import Served
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until

ASKED_S = 5.0
"""For an unknown key an issuer is asked this often at most."""
FETCH_S = 3.0
"""An issuer that does not answer is given up after this."""
SLACK_S = 1.5


class Key:
    """A key pair of the issuer, and tokens signed with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._private = Ed25519PrivateKey.generate()

    @property
    def public(self) -> dict[str, str]:
        raw = self._private.public_key().public_bytes_raw()
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": self.name, "x": x}

    def line(self) -> str:
        """An Authorization line with a good token."""
        claims = {"sub": "ann", "exp": int(time.time()) + 600}
        token = jwt.encode(claims, self._private, "EdDSA", {"kid": self.name})
        return f"Authorization: Bearer {token}"


def published(*keys: Key) -> str:
    return json.dumps({"keys": [key.public for key in keys]})


def guarded(stage: Stage, issuer: Service) -> tuple[Service, Served]:
    main = stage.service("main")
    served = stage.proxy(
        tokens={"issuer": {"jwks": f"{issuer.url}/keys"}},
        upstreams={"main": {"url": main.url}},
        routes=[{"name": "main", "match": "/main", "control": "main", "token": "issuer"}],
    )
    return main, served


def publishing(stage: Stage, key: Key) -> Service:
    """An issuer that is there, with one key."""
    issuer = stage.service("issuer", started=False)
    issuer.publish(published(key))
    issuer.start()
    return issuer


def with_token(served: Served, *lines: str) -> Seen:
    with Client(served.port, timeout_s=15) as client:
        return ask(client, "GET", "/main", *lines)


def test_known_keys_verify_on_while_the_issuer_is_down_and_new_ones_are_found_when_it_is_back(
    stage: Stage, times: Times
) -> None:
    old, new = Key("old"), Key("new")
    issuer = publishing(stage, old)
    main, served = guarded(stage, issuer)
    load, calm = stage.load(served, "/main", old.line()), stage.calm(served)
    load.settle()
    issuer.kill()
    unknown = with_token(served, new.line())
    assert unknown.status == 401
    assert unknown.took_s < SLACK_S
    assert with_token(served).status == 401
    # Who comes after a worker that was killed knows the keys, though nobody can fetch them.
    kill_a_worker(served)
    asked = time.monotonic()
    load.wait(lambda seen: seen.good, asked, 40)
    issuer.publish(published(old, new))
    heal = issuer.start()
    until(lambda: with_token(served, new.line()).good, "the new key is found", ASKED_S + SLACK_S)
    found = time.monotonic()
    load.stop()

    assert [seen for seen in load.seen if not seen.good and seen.status != 0] == []
    assert sum(seen.status == 0 for seen in load.seen) <= 4  # on the killed worker's connections
    assert_posts_once(load, main)
    assert max(seen.took_s for seen in calm.seen) < 10
    times.tell(
        unknown_key_401_s=unknown.took_s,
        new_key_found_s=within(found, ASKED_S + SLACK_S, of=heal),
    )


def kill_a_worker(served: Served) -> None:
    before = {worker.pid for worker in served.status().workers}
    os.kill(min(before), signal.SIGKILL)
    until(
        lambda: len({worker.pid for worker in served.status().workers} - {min(before)}) == 2,
        "it is replaced",
    )


def test_rotated_key_is_found_by_the_first_token_that_is_signed_with_it(
    stage: Stage, times: Times
) -> None:
    old, new = Key("old"), Key("new")
    issuer = publishing(stage, old)
    _, served = guarded(stage, issuer)
    assert with_token(served, old.line()).good
    issuer.publish(published(new))
    first = with_token(served, new.line())
    assert first.good
    until(lambda: with_token(served, old.line()).status == 401, "the old key is gone everywhere")
    assert {with_token(served, new.line()).status for _ in range(20)} == {200}
    times.tell(took_s=within(first.end, SLACK_S, of=first.at))


def test_stopped_issuer_holds_up_unknown_keys_alone_and_not_for_long(
    stage: Stage, times: Times
) -> None:
    old, new = Key("old"), Key("new")
    issuer = publishing(stage, old)
    main, served = guarded(stage, issuer)
    load, calm = stage.load(served, "/main", old.line()), stage.calm(served)
    load.settle()
    issuer.pause()
    unknown = with_token(served, new.line())
    issuer.resume()
    load.stop()
    assert unknown.status == 401
    assert statuses(load.seen) == {200}
    assert max(seen.took_s for seen in load.seen) < SLACK_S
    assert_posts_once(load, main)
    assert_untouched(calm)
    times.tell(unknown_key_401_s=within(unknown.end, FETCH_S + SLACK_S, of=unknown.at))


def test_issuer_that_was_never_there_makes_503_until_it_is(stage: Stage, times: Times) -> None:
    key = Key("key")
    issuer = stage.service("issuer", started=False)
    main, served = guarded(stage, issuer)
    load, calm = stage.load(served, "/main", key.line()), stage.calm(served)
    load.wait(lambda seen: seen.status == 503, 0, 20)
    assert with_token(served).status == 401
    issuer.publish(published(key))
    heal = issuer.start()
    good = load.wait(lambda seen: seen.good, heal, 40, ASKED_S + SLACK_S)
    load.stop()
    assert statuses(load.hit(0, heal)) <= {503, 200}
    assert {seen.retry_after_s for seen in load.seen if seen.status == 503} == {1}
    assert max(seen.took_s for seen in load.seen) < FETCH_S + SLACK_S
    last_bad = max(seen.end for seen in load.seen if not seen.good)
    assert_posts_once(load, main)
    assert_untouched(calm)
    times.tell(
        first_good_s=within(good.end, ASKED_S + SLACK_S, of=heal),
        all_good_s=max(0.0, last_bad - heal),
    )
    assert last_bad - heal < ASKED_S + SLACK_S
