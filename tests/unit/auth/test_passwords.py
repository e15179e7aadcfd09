from __future__ import annotations

import bcrypt
import pytest

from extracted.auth.passwords import Passwords

PASSWORDS = Passwords(rounds=4)


@pytest.mark.parametrize("password", ["correct horse", "x" * 72, "ü" * 36, "🙂" * 18])
def test_a_password_matches_its_own_hash_alone(password: str) -> None:
    kept = PASSWORDS.hash(password)
    assert len(kept) == 60
    assert PASSWORDS.match(password, kept)
    assert not PASSWORDS.match(password[:-1], kept)


@pytest.mark.parametrize("more", ["y", "yz" * 2000])
def test_what_is_longer_than_bcrypt_reads_never_matches(more: str) -> None:
    assert not PASSWORDS.match("x" * 72 + more, PASSWORDS.hash("x" * 72))


@pytest.mark.parametrize("rounds", [4, 5])
def test_a_hash_made_elsewhere_at_another_cost_is_taken_over_as_it_is(rounds: int) -> None:
    kept = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(rounds)).decode()
    assert PASSWORDS.match("correct horse", kept)


@pytest.mark.parametrize("password", ["nobody has this one", "", "\ud800"])
def test_nobody_has_no_password(password: str) -> None:
    assert not PASSWORDS.match(password, None)
