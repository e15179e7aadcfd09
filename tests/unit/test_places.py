"""Places for a few at once: the same suite for the monolith's copy and the services'."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from extracted.chassis import places as services
from monolith import places as monoliths


@pytest.fixture(params=[services, monoliths])
def places(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


def test_there_are_never_more_than_places(places: ModuleType) -> None:
    few, inside, most = places.Places(2, 30), 0, 0
    lock = threading.Lock()

    def stay() -> None:
        nonlocal inside, most
        with few.one():
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(stay) for _ in range(16)]:
            each.result()
    assert most == 2


def test_who_may_not_wait_is_refused_at_once(places: ModuleType) -> None:
    one = places.Places(1)
    with one.one():
        began = time.monotonic()
        with pytest.raises(places.NoPlaceError), one.one():
            pass
        assert time.monotonic() - began < 1
    with one.one():
        pass


def test_who_waits_gets_a_place_when_there_is_one(places: ModuleType) -> None:
    one, entered = places.Places(1, 30), threading.Event()

    def come() -> None:
        with one.one():
            entered.set()

    with one.one():
        thread = threading.Thread(target=come)
        thread.start()
        assert not entered.wait(0.1)
    thread.join(10)
    assert entered.is_set()


def test_who_waits_in_vain_is_refused_in_time(places: ModuleType) -> None:
    one = places.Places(1, 0.1)
    with one.one():
        began = time.monotonic()
        with pytest.raises(places.NoPlaceError), one.one():
            pass
        assert 0.1 <= time.monotonic() - began < 5


def test_a_failure_gives_the_place_back(places: ModuleType) -> None:
    one = places.Places(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), one.one():
            _ = 1 / 0
