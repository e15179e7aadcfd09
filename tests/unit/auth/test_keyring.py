"""Which key signs and which are published, at every moment of a rotation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from extracted.auth.keyring import SKEW, Lives, SigningKey, published, signer

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DELAY, TTL = timedelta(seconds=120), timedelta(hours=1)
LIVES = Lives(DELAY, TTL)
SECOND = timedelta(seconds=1)
PRIVATE = Ed25519PrivateKey.generate()


def key(name: str, made_at: datetime) -> SigningKey:
    return SigningKey(name, made_at, PRIVATE)


OLD, NEW = key("old", NOON - timedelta(days=9)), key("new", NOON)


@pytest.mark.parametrize(
    ("since", "name"),
    [(timedelta(), "old"), (DELAY - SECOND, "old"), (DELAY, "new"), (timedelta(days=9), "new")],
)
def test_a_new_key_signs_when_everybody_has_had_time_to_fetch_it(
    since: timedelta, name: str
) -> None:
    assert signer([OLD, NEW], LIVES, NOON + since).kid == name
    assert signer([NEW, OLD], LIVES, NOON + since).kid == name


@pytest.mark.parametrize(
    ("since", "names"),
    [
        (timedelta(), ["old", "new"]),
        (DELAY + TTL, ["old", "new"]),
        (DELAY + TTL + SKEW - SECOND, ["old", "new"]),
        (DELAY + TTL + SKEW, ["new"]),
    ],
)
def test_an_old_key_is_published_until_its_last_token_is_over(
    since: timedelta, names: list[str]
) -> None:
    assert [each.kid for each in published([NEW, OLD], LIVES, NOON + since)] == names


def test_the_first_key_signs_at_once_as_there_is_no_other() -> None:
    assert signer([NEW], LIVES, NOON) is NEW
    assert signer([NEW, key("newer", NOON + SECOND)], LIVES, NOON + SECOND) is NEW


def test_a_key_is_published_without_its_private_part() -> None:
    assert NEW.jwk().keys() == {"kty", "crv", "x", "kid", "use", "alg"}


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.lists(st.integers(0, 20_000), min_size=1, max_size=5, unique=True),
    st.integers(0, 20_000),
    st.integers(0, 3600),
)
def test_every_token_can_be_checked_for_as_long_as_it_lives(
    ages: list[int], signed_s: int, later_s: int
) -> None:
    keys = [key(str(age), NOON - timedelta(seconds=age)) for age in ages]
    signed_at = NOON + timedelta(seconds=signed_s)
    looked_at = signed_at + timedelta(seconds=later_s)
    assert signer(keys, LIVES, signed_at) in published(keys, LIVES, looked_at)


@settings(max_examples=200, deadline=None, database=None)
@given(st.lists(st.integers(0, 2_000), min_size=2, max_size=5, unique=True), st.integers(0, 2_000))
def test_no_key_but_the_first_signs_before_it_was_published_for_long_enough(
    ages: list[int], now_s: int
) -> None:
    keys = [key(str(age), NOON - timedelta(seconds=age)) for age in ages]
    now = NOON + timedelta(seconds=now_s)
    chosen = signer(keys, LIVES, now)
    assert now - chosen.made_at >= DELAY or chosen.kid == str(max(ages))
