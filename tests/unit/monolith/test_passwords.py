from __future__ import annotations

import time

import pytest

from monolith.auth.passwords import Passwords


def test_only_the_right_password_matches() -> None:
    passwords = Passwords(4)
    kept = passwords.hash("correct horse")
    assert len(kept) == 60
    assert passwords.match("correct horse", kept)
    assert not passwords.match("correct hors", kept)


@pytest.mark.parametrize("password", ["x" * 73, "a\0b", "\ud800", "é" * 40])
def test_a_password_that_nobody_can_have_is_wrong_and_no_fault(password: str) -> None:
    passwords = Passwords(4)
    assert not passwords.match(password, passwords.hash("x" * 72))


def test_an_unknown_user_costs_the_time_of_a_known_one() -> None:
    passwords = Passwords(9)
    kept = passwords.hash("correct horse")

    def cpu_s(hash_: str | None) -> float:
        began = time.thread_time()
        passwords.match("wrong horse", hash_)
        return time.thread_time() - began

    known, unknown = (min(cpu_s(each) for _ in range(5)) for each in (kept, None))
    assert 0.5 < known / unknown < 2
