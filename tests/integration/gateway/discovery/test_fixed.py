"""Addresses that the file names: their order, and which are drained."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.gateway.discovery.members import membership
from tests.integration.gateway.places import run, until
from tests.wire_tools.proxy import config


def test_fixed_addresses_are_members_in_the_order_of_the_file(tmp_path: Path) -> None:
    async def main() -> None:
        settings = config(
            upstreams={
                "monolith": "http://b:5000",
                "image": {"urls": ["http://z:1", "http://a:2"]},
            }
        )
        async with membership(tmp_path, settings) as (members, told):
            found = members.members()
            assert list(found) == ["monolith", "image"]
            assert [str(member.address) for member in found["image"]] == ["z:1", "a:2"]
            assert all(member.well and not member.draining for member in found["image"])
            await until(lambda: told, "told")
            assert told == [frozenset({"monolith", "image"})]
            members.configure(settings)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(told) == 1, "nothing has changed"

    run(main())
    assert not list(tmp_path.iterdir()), "nothing is discovered, nothing remembered"


def test_draining_holds_through_reloads_while_the_address_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        both = config(upstreams={"image": {"urls": ["http://h:1", "http://h:2"]}})
        first = config(upstreams={"image": "http://h:1"})
        async with membership(tmp_path, both) as (members, told):
            await until(lambda: told, "told")
            assert members.drain("image", "h:2", True).draining
            assert members.drain("image", "h:2", True).draining
            await until(lambda: len(told) == 2, "told of draining, once")
            members.configure(both)
            assert [member.draining for member in members.members()["image"]] == [False, True]
            assert not members.drain("image", "h:2", False).draining
            members.drain("image", "h:2", True)
            members.configure(first)
            members.configure(both)
            assert not any(member.draining for member in members.members()["image"])

    run(main())


@pytest.mark.parametrize(
    ("upstream", "address", "says"),
    [
        ("picture", "h:1", "there are: image"),
        ("image", "h:3", "it has: h:1"),
        ("image", "h", "host:port"),
    ],
)
def test_draining_what_is_not_there_says_what_is(
    tmp_path: Path, upstream: str, address: str, says: str
) -> None:
    async def main() -> None:
        settings = config(upstreams={"image": "http://h:1"})
        async with membership(tmp_path, settings) as (members, _):
            with pytest.raises(LookupError, match=says):
                members.drain(upstream, address, True)

    run(main())
