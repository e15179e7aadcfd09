"""An issuer's public keys, fetched from real servers that answer, fail, hang and come back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from extracted.chassis.key_watch import KeyWatch, pause_s
from extracted.chassis.keys import REFRESH_S, TOTAL_S, JwksKeys, KeysUnavailableError
from scripts.processes import free_ports
from tests.integration.chassis.misbehaving import Misbehaving, answer, hang_up
from tests.issuer import Signer, jwks
from tests.wire_tools.proxy import until

SIGNING_DELAY_S = 120.0  # of auth, unless it is told otherwise
OLD, NEW = Signer("old"), Signer("new")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_fetched_when_it_is_first_wanted_and_then_known() -> None:
    with Misbehaving(answer(200, jwks(OLD))) as server:
        keys = JwksKeys(server.url)
        assert server.requests == []
        for _ in range(5):
            found = keys.find("old")
            assert found is not None
            assert found.algorithm_name == "EdDSA"
        assert len(server.requests) == 1


def test_a_new_key_is_found_at_once_and_one_that_was_withdrawn_is_forgotten() -> None:
    clock = Clock()
    with Misbehaving(answer(200, jwks(OLD)), answer(200, jwks(NEW))) as server:
        keys = JwksKeys(server.url, clock=clock)
        assert keys.find("old") is not None
        clock.now += 2.5
        assert keys.find("new") is not None
        assert keys.find("old") is None


def test_made_up_names_ask_the_issuer_once_in_two_seconds_however_many_come() -> None:
    clock = Clock()
    with Misbehaving(answer(200, jwks(OLD))) as server, ThreadPoolExecutor(16) as threads:
        keys = JwksKeys(server.url, clock=clock)
        for fetches in (1, 2, 3):
            found = list(threads.map(keys.find, [f"made up {n}" for n in range(200)]))
            assert found == [None] * 200
            assert len(server.requests) == fetches
            clock.now += 2.5


def test_made_up_names_do_not_flood_an_issuer_that_fails_either() -> None:
    with Misbehaving(answer(500)) as server, ThreadPoolExecutor(16) as threads:
        keys = JwksKeys(server.url, clock=Clock())

        def refused(kid: str) -> bool:
            with pytest.raises(KeysUnavailableError):
                keys.find(kid)
            return True

        assert all(threads.map(refused, map(str, range(200))))
        assert len(server.requests) == 1


def test_many_who_want_the_first_key_at_once_all_get_it_by_one_fetch() -> None:
    go = threading.Event()
    with Misbehaving() as server, ThreadPoolExecutor(8) as threads:
        server.deeds = [server.hold(go, answer(200, jwks(OLD)))]
        keys = JwksKeys(server.url)
        waiting = [threads.submit(keys.find, "old") for _ in range(8)]
        until(lambda: server.requests, "the issuer is asked")
        go.set()
        assert all(each.result(10) is not None for each in waiting)
        assert len(server.requests) == 1


def test_what_another_process_has_kept_is_found_when_the_issuer_has_gone(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with Misbehaving(answer(200, jwks(OLD))) as server:
        late = JwksKeys(server.url, file)  # has not asked when the issuer goes
        assert JwksKeys(server.url, file).find("old") is not None
    assert late.find("old") is not None
    with pytest.raises(KeysUnavailableError):
        late.find("new")


@pytest.mark.parametrize(
    "failure",
    [answer(500), answer(404), answer(200), answer(200, b'{"keys": []}'), hang_up],
    ids=["500", "404", "no keys", "an empty set", "no answer"],
)
def test_while_the_issuer_fails_known_keys_go_on_and_others_cannot_be_told(failure: object) -> None:
    clock = Clock()
    with Misbehaving(answer(200, jwks(OLD)), failure) as server:
        keys = JwksKeys(server.url, clock=clock)
        assert keys.find("old") is not None
        clock.now += 2.5
        for _ in range(2):
            with pytest.raises(KeysUnavailableError):
                keys.find("new")
            assert keys.find("old") is not None
        server.deeds = [answer(200, jwks(OLD, NEW))]
        clock.now += 2.5
        assert keys.find("new") is not None


def test_a_known_key_waits_for_nobody_while_it_is_refreshed() -> None:
    clock, go = Clock(), threading.Event()
    with Misbehaving(answer(200, jwks(OLD))) as server:
        keys = JwksKeys(server.url, clock=clock)
        assert keys.find("old") is not None
        server.deeds = [server.hold(go, answer(200, jwks(NEW)))]
        clock.now += REFRESH_S
        assert keys.find("old") is not None
        until(lambda: len(server.requests) == 2, "the set is refreshed beside")
        for _ in range(50):
            assert keys.find("old") is not None
        assert len(server.requests) == 2
        go.set()
        until(lambda: keys.find("old") is None, "the key that was withdrawn is forgotten")


def test_kept_keys_serve_a_process_that_starts_while_the_issuer_is_down(tmp_path: Path) -> None:
    file = tmp_path / "new" / "keys.json"
    with Misbehaving(answer(200, jwks(OLD))) as server:
        assert JwksKeys(server.url, file).find("old") is not None
        url, port = server.url, server.port
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["keys.json"]
    keys = JwksKeys(url, file)
    assert keys.find("old") is not None
    with pytest.raises(KeysUnavailableError):
        JwksKeys(url, file).find("new")
    with Misbehaving(answer(200, jwks(NEW)), port=port):
        assert JwksKeys(url, file).find("new") is not None
    assert [key["kid"] for key in json.loads(file.read_text())["keys"]] == ["new"]


def test_watched_keys_are_there_before_a_token_needs_them(tmp_path: Path) -> None:
    with Misbehaving(answer(200, jwks(OLD))) as server:
        keys = JwksKeys(server.url, tmp_path / "keys.json")
        with watching(keys):
            until((tmp_path / "keys.json").exists, "the keys are kept")
    assert keys.find("old") is not None


def test_an_issuer_that_starts_late_is_asked_until_it_is_there_and_then_for_new_keys() -> None:
    (port,) = free_ports(1)
    url = f"http://localhost:{port}"
    keys = JwksKeys(url)
    asked: list[bool] = []

    def pause_s(answered: bool, chance: float) -> float:
        asked.append(answered)
        return 0.02

    with watching(keys, pause_s):
        until(lambda: len(asked) >= 3, "it has been asked in vain")
        assert not any(asked)
        with Misbehaving(answer(200, jwks(OLD)), port=port) as server:
            until(lambda: any(asked), "it has answered")
            server.deeds = [answer(200, jwks(OLD, NEW))]
            before = len(server.requests)
            until(lambda: len(server.requests) > before + 1, "it is asked again")
    assert keys.find("new") is not None


def test_a_question_of_the_watch_in_vain_does_not_keep_a_token_from_asking() -> None:
    (port,) = free_ports(1)
    keys = JwksKeys(f"http://localhost:{port}", clock=Clock())
    assert not keys.refresh()
    with Misbehaving(answer(200, jwks(OLD)), port=port):
        assert keys.find("old") is not None


def test_the_watch_asks_soon_while_there_is_no_answer_and_oftener_than_a_new_key_signs() -> None:
    assert [pause_s(False, chance) for chance in (0, 1)] == [2.5, 5.0]
    assert pause_s(True, 0) == 30.0
    assert pause_s(True, 1) + TOTAL_S < SIGNING_DELAY_S


@contextmanager
def watching(keys: JwksKeys, *pause: Callable[[bool, float], float]) -> Iterator[None]:
    watch = KeyWatch(keys, *pause)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"url": "URL"}', '{"url": "http://other", "keys": []}']
)
def test_a_file_that_is_of_no_use_is_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    with Misbehaving(answer(200, jwks(OLD))) as server:
        file.write_text(text.replace("URL", server.url))
        assert JwksKeys(server.url, file).find("old") is not None
    assert OLD.kid in file.read_text()


def test_a_file_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with Misbehaving(answer(200, jwks(OLD))) as server:
        assert JwksKeys(server.url, tmp_path / "file" / "keys.json").find("old") is not None
    assert "not kept over a restart" in caplog.text


def test_an_outage_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="extracted.chassis.keys")
    (port,) = free_ports(1)
    clock = Clock()
    url = f"http://localhost:{port}/keys"
    keys = JwksKeys(url, clock=clock)
    for _ in range(3):
        with pytest.raises(KeysUnavailableError):
            keys.find("old")
        clock.now += 2.5
    assert caplog.text.count(f"stay in use: GET {url}") == 1
    with Misbehaving(answer(200, jwks(OLD)), port=port):
        assert keys.find("old") is not None
    assert caplog.text.count(f"fetched from {url} again") == 1
