"""How often it may be tried to log in, counted in this process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import limits
import pytest

from extracted.auth.counting import Counts
from extracted.auth.service import TooManyLoginsError, TooManyRegistrationsError
from extracted.auth.throttling import LoginThrottle, RegisterThrottle
from tests.wire_tools.proxy import until

HOME, AWAY = "192.0.2.1", "192.0.2.2"


def throttle(
    from_client: str = "3/hour", from_all: str = "5/hour", of_client: str = "1000/hour"
) -> LoginThrottle:
    return LoginThrottle(
        Counts(),
        on_account=limits.parse(from_client),
        of_client=limits.parse(of_client),
        of_account=limits.parse(from_all),
    )


def admitted(throttle: LoginThrottle, email: str, client: str) -> bool:
    try:
        throttle.admit(email, client)
    except TooManyLoginsError:
        return False
    return True


def test_who_guesses_from_one_place_is_stopped_and_the_owner_elsewhere_is_not() -> None:
    made = throttle()
    assert [admitted(made, "a@b.c", AWAY) for _ in range(20)] == [True] * 3 + [False] * 17
    assert admitted(made, "a@b.c", HOME)
    assert admitted(made, "other@b.c", AWAY)


def test_who_is_stopped_is_told_when_the_window_ends() -> None:
    made = throttle("1/hour")
    assert admitted(made, "a@b.c", HOME)
    with pytest.raises(TooManyLoginsError) as caught:
        made.admit("a@b.c", HOME)
    assert 3500 < caught.value.retry_after_s <= 3600


def test_a_window_ends_by_itself_however_many_tries_it_has_refused() -> None:
    made = throttle("1/second", "100/hour")
    assert admitted(made, "a@b.c", HOME)
    until(lambda: admitted(made, "a@b.c", HOME), "the window ends")


def test_guesses_from_many_places_are_stopped_together() -> None:
    made = throttle()
    tries = [admitted(made, "a@b.c", f"192.0.2.{n}") for n in range(20)]
    assert tries == [True] * 5 + [False] * 15


def test_a_login_that_succeeds_starts_the_count_anew_for_its_own_client() -> None:
    made = throttle(from_all="100/hour")
    for client in (HOME, AWAY):
        while admitted(made, "a@b.c", client):
            pass
    made.forget("a@b.c", HOME)
    assert admitted(made, "a@b.c", HOME)
    assert not admitted(made, "a@b.c", AWAY)


def test_tries_at_once_do_not_pass_the_limit() -> None:
    made = throttle("10/hour", "100/hour")
    with ThreadPoolExecutor(16) as threads:
        tries = list(threads.map(lambda _: admitted(made, "a@b.c", HOME), range(64)))
    assert sum(tries) == 10


@pytest.mark.parametrize("email", ["a@b.c/all", "\ud800", "x" * 254, "a@b.c\n"])
def test_whatever_is_typed_as_an_address_is_counted(email: str) -> None:
    made = throttle()
    assert [admitted(made, email, HOME) for _ in range(4)] == [True, True, True, False]


def test_addresses_of_one_network_of_ipv6_are_one_client() -> None:
    made = throttle()
    tries = [admitted(made, "a@b.c", f"2001:db8::{n}") for n in range(1, 5)]
    assert tries == [True, True, True, False]


def test_one_password_cannot_be_tried_on_everybody_and_others_are_not_stopped() -> None:
    made = throttle(of_client="4/hour")
    tries = [admitted(made, f"user{n}@b.c", AWAY) for n in range(20)]
    assert tries == [True] * 4 + [False] * 16
    assert admitted(made, "user19@b.c", HOME)


def test_an_account_of_ones_own_is_not_good_for_guessing_further() -> None:
    made = throttle("1000/hour", "1000/hour", of_client="4/hour")
    guesses = []
    for n in range(20):
        if admitted(made, "own@b.c", AWAY):
            made.forget("own@b.c", AWAY)
        guesses.append(admitted(made, f"user{n}@b.c", AWAY))
    assert sum(guesses) == 4


def test_many_who_log_in_rightly_from_one_place_are_not_stopped() -> None:
    made = throttle(of_client="4/hour")
    for n in range(20):
        assert admitted(made, f"user{n}@b.c", HOME)
        made.forget(f"user{n}@b.c", HOME)
    assert [admitted(made, f"user{n}@b.c", HOME) for n in range(5)] == [True] * 4 + [False]


def test_what_a_clients_own_limit_refuses_does_not_shut_the_owner_out() -> None:
    made = throttle("100/hour", "5/hour", of_client="2/hour")
    while admitted(made, "a@b.c", AWAY):
        pass
    assert [admitted(made, "a@b.c", AWAY) for _ in range(20)] == [False] * 20
    assert [admitted(made, "a@b.c", f"192.0.2.{n}") for n in range(10, 13)] == [True] * 3


def test_registrations_are_bounded_by_client() -> None:
    made = RegisterThrottle(Counts(), limits.parse("2/hour"))
    for client in (HOME, "2001:db8::1"):
        made.admit(client)
        made.admit(client)
    for client in (HOME, "2001:db8::2"):
        with pytest.raises(TooManyRegistrationsError) as caught:
            made.admit(client)
        assert 3500 < caught.value.retry_after_s <= 3600
    made.admit(AWAY)
