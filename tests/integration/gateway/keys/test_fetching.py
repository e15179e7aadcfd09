"""Keys are fetched, rotated and told once; who asks at the same time shares one fetch."""

from __future__ import annotations

import asyncio

import pytest

from strangler_proxy.config import TokenCheck
from strangler_proxy.gateway.keys import Pace
from strangler_proxy.policies.tokens import UnknownKey, Verified, Verifier
from tests.integration.gateway.keys.issuer import (
    _EDDSA,
    OFTEN,
    PRIVATE,
    Issuer,
    check,
    jwk,
    keys,
    run,
    started,
    token,
    until,
)


def test_keys_are_fetched_at_once_and_told() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            assert store.told == [(issuer.url, keys("old"))]
            assert store.keys.current() == {issuer.url: keys("old")}
            store.lead_s = 7
            [row] = store.keys.status()
            assert row.pop("age_s") == pytest.approx(7, abs=2)
            assert row == {"name": "staff", "url": issuer.url, "keys": 1, "failing": None}

    run(test())


def test_a_set_that_is_the_same_is_not_told_again() -> None:
    async def test() -> None:
        async with started(OFTEN) as (issuer, store):
            await until(lambda: len(issuer.asked) > 4, "more fetches")
            assert len(store.told) == 1
            issuer.publish(keys("old", "new"))
            await until(lambda: len(store.told) > 1, "the changed keys")
            assert store.told[1:] == [(issuer.url, keys("old", "new"))]

    run(test())


def test_nothing_is_told_of_a_key_but_what_verifying_takes() -> None:
    async def test() -> None:
        async with started(OFTEN) as (issuer, store):
            secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}
            leaked = {**_EDDSA.to_jwk(PRIVATE["newest"], as_dict=True), "kid": "leaked"}
            wordy = {**jwk("new"), "use": "sig", "x5c": ["MIIB"], "issued": {"by": [1]}}
            issuer.publish({"keys": [secret, leaked, wordy, "junk"], "more": 1})
            await until(lambda: len(store.told) > 1, "the changed keys")
            assert store.told[1] == (issuer.url, keys("new"))

    run(test())


def test_keys_rotate_without_refusing_a_good_token() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            verifier = Verifier(check(issuer.url), None)
            verifier.set_keys(store.keys.current()[issuer.url])
            assert isinstance(verifier.verify(token("old"), 1e9), Verified)

            issuer.publish(keys("old", "new"))
            assert verifier.verify(token("new"), 1e9) == UnknownKey("new")
            verifier.set_keys(await store.keys.refresh(issuer.url))
            for kid in ("old", "new"):
                assert isinstance(verifier.verify(token(kid), 1e9), Verified)

            issuer.publish(keys("new"))
            store.lead_s += 6
            verifier.set_keys(await store.keys.refresh(issuer.url))
            assert isinstance(verifier.verify(token("new"), 1e9), Verified)
            assert verifier.verify(token("old"), 1e9) == UnknownKey("old")

    run(test())


def test_all_who_ask_at_the_same_time_share_one_fetch() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            issuer.publish(keys("new"))
            issuer.open.clear()
            asks = [asyncio.create_task(store.keys.refresh(issuer.url)) for _ in range(50)]
            await until(lambda: len(issuer.asked) == 2, "the fetch")
            asks[0].cancel()  # a worker that is killed takes the fetch from nobody
            await asyncio.wait({asks[0]})
            issuer.open.set()
            assert await asyncio.gather(*asks[1:]) == [keys("new")] * 49
            assert len(issuer.asked) == 2

    run(test())


def test_made_up_key_ids_do_not_hammer_the_issuer() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            for _ in range(100):
                await store.keys.refresh(issuer.url)
            assert len(issuer.asked) == 2
            store.lead_s += 4.5
            await store.keys.refresh(issuer.url)
            assert len(issuer.asked) == 2
            store.lead_s += 0.6
            await store.keys.refresh(issuer.url)
            assert len(issuer.asked) == 3

    run(test())


def test_an_issuer_that_is_named_no_more_is_forgotten_and_left_alone() -> None:
    async def test() -> None:
        async with started(OFTEN) as (issuer, store):
            issuer.open.clear()
            before = len(issuer.asked)
            await until(lambda: len(issuer.asked) > before, "a fetch under way")
            waiting = asyncio.create_task(store.keys.refresh(issuer.url))
            await asyncio.sleep(0)
            store.keys.configure({"machines": TokenCheck(secret_env="SECRET")})
            assert store.keys.current() == {}
            assert store.keys.status() == []
            assert await waiting == keys("old")
            assert await store.keys.refresh(issuer.url) is None
            asked, told = len(issuer.asked), len(store.told)
            issuer.publish(keys("new"))
            issuer.open.set()
            other = Issuer()
            await other.up()
            store.keys.configure({"staff": check(other.url, OFTEN)})
            await until(lambda: len(other.asked) > 4, "fetches from the other issuer")
            assert len(issuer.asked) == asked
            assert [url for url, _ in store.told[told:]] == [other.url]
            await other.down()

    run(test())


def test_while_a_file_is_taken_up_the_keys_of_both_are_there() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            other = Issuer()
            await other.up()
            other.publish(keys("new"))
            before, after = {"staff": check(issuer.url)}, {"staff": check(other.url)}
            store.keys.configure(before, after)
            await until(lambda: len(store.told) == 2, "the keys of the other")
            assert store.keys.current() == {issuer.url: keys("old"), other.url: keys("new")}
            store.keys.configure(before)
            assert store.keys.current() == {issuer.url: keys("old")}
            assert len(issuer.asked) == 1
            await other.down()

    run(test())


def test_checks_with_one_issuer_share_its_keys_at_the_pace_of_the_most_eager() -> None:
    async def test() -> None:
        async with started() as (issuer, store):
            checks = {"staff": check(issuer.url), "customers": check(issuer.url, OFTEN)}
            store.keys.configure(checks)
            await until(lambda: len(issuer.asked) > 4, "fetches at the new pace")
            assert [row["name"] for row in store.keys.status()] == ["customers, staff"]
            assert len(store.told) == 1

    run(test())


def test_closing_does_not_wait_for_an_issuer_that_hangs() -> None:
    async def test() -> None:
        async with started(pace=Pace(timeout_s=30)) as (issuer, store):
            issuer.open.clear()
            waiting = asyncio.create_task(store.keys.refresh(issuer.url))
            await until(lambda: len(issuer.asked) == 2, "the fetch under way")
            async with asyncio.timeout(2):
                await store.keys.close()
            assert await waiting == keys("old")
            assert await store.keys.refresh(issuer.url) is None
            issuer.open.set()

    run(test())
