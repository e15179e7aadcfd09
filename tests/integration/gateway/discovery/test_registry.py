"""Members follow a registry's double; while it fails the last known stay."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tests.integration.gateway.discovery.members import found_in, membership, ports, row
from tests.integration.gateway.places import Registry, run, until
from tests.wire_tools.proxy import config


def test_members_follow_the_registry_and_each_change_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(82, 81)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, told):
            await members.first_answers(5)
            assert ports(members) == [81, 82]
            await until(lambda: told, "told of the first answer")
            registry.tell(82)
            await until(lambda: ports(members) == [82], "one has left", 2)
            registry.tell()
            await until(lambda: ports(members) == [], "nobody is an answer", 2)
            await until(lambda: told[-3:] == [frozenset({"image"})] * 3, "told of each")

    run(main())


def test_a_burst_of_changes_is_told_once(tmp_path: Path) -> None:
    async def main() -> None:
        names = [f"image-{number}" for number in range(20)]
        upstreams = {name: {"url": f"http://h:{80 + n}"} for n, name in enumerate(names)}
        async with membership(tmp_path, config(upstreams=upstreams)) as (members, told):
            await until(lambda: told, "told")
            for n, name in enumerate(names):
                members.drain(name, f"h:{80 + n}", True)
            await until(lambda: len(told) > 1, "told again")
            assert told == [frozenset(names), frozenset(names)]

    run(main())


def test_first_answers_waits_no_longer_than_it_was_told(tmp_path: Path) -> None:
    async def main() -> None:
        settings = found_in("http://127.0.0.1:1")
        async with membership(tmp_path, settings) as (members, _):
            async with asyncio.timeout(5):
                await members.first_answers(0.2)
            assert ports(members) == []
            assert row(members)["failing_s"] is not None
            assert "127.0.0.1:1" in row(members)["fault"]

    run(main())


def test_a_source_that_does_not_answer_is_waited_for_once(tmp_path: Path) -> None:
    async def main() -> None:
        settings = found_in("http://127.0.0.1:1")
        async with membership(tmp_path, settings) as (members, _):
            await members.first_answers(0.1)
            members.configure(settings)
            async with asyncio.timeout(5):
                await members.first_answers(60)
            members.configure(found_in("http://127.0.0.1:9"))
            waiting = asyncio.create_task(members.first_answers(60))
            await until(lambda: row(members)["fault"], "the new one has been asked")
            assert not waiting.done()
            waiting.cancel()

    run(main())


def test_a_failing_registry_leaves_the_last_known_and_is_told_once_an_outage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "strangler_proxy")

    async def main() -> None:
        registry = Registry(81, 82)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, _):
            await members.first_answers(5)
            registry.status = 500
            registry.tell()
            await until(lambda: registry.asked.count(0) >= 4, "asked again and again")
            assert ports(members) == [81, 82]
            assert len([r for r in caplog.records if "gives no answer" in r.message]) == 1
            registry.status = 200
            registry.tell(82)
            took = await until(lambda: ports(members) == [82], "seen again")
            assert took < 6
            assert len([r for r in caplog.records if "answers again" in r.message]) == 1
            assert row(members)["failing_s"] is None
            await registry.stop()
            await until(lambda: row(members)["failing_s"] is not None, "down again")
            assert len([r for r in caplog.records if "gives no answer" in r.message]) == 2
            assert ports(members) == [82]

    run(main())


def test_garbage_from_a_registry_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, _):
            await members.first_answers(5)
            registry.tell(body='[{"Node": 5}]')
            await until(lambda: row(members)["fault"], "noticed")
            assert ports(members) == [81]

    run(main())


def test_the_last_known_serve_after_a_restart_while_the_registry_is_down(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81, 82)
        async with registry:
            settings = found_in(registry.url)
            async with membership(tmp_path, settings) as (members, _):
                await members.first_answers(5)
        async with membership(tmp_path, settings) as (members, told):
            assert ports(members) == [81, 82]
            await members.first_answers(0.2)
            assert ports(members) == [81, 82]
            assert told
        other = found_in(registry.url, image={"consul": {"service": "image", "tag": "v2"}})
        async with membership(tmp_path, other) as (members, _):
            assert ports(members) == [], "another definition: these may be somebody else's"

    run(main())


def test_what_was_remembered_survives_a_start_that_got_no_answer(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        async with registry:
            settings = found_in(registry.url)
            async with membership(tmp_path, settings) as (members, _):
                await members.first_answers(5)
        for _ in range(2):
            async with membership(tmp_path, settings) as (members, told):
                await until(lambda told=told: told, "told")
                assert ports(members) == [81]

    run(main())


def test_an_unusable_file_of_remembered_addresses_starts_with_none(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "addresses.json").write_bytes(b"\x00" * 100)
        registry = Registry(81)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, _):
            assert ports(members) == []
            await members.first_answers(5)
            assert ports(members) == [81]

    run(main())


def test_a_reload_leaves_alone_what_it_does_not_change(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, _):
            await members.first_answers(5)
            await until(lambda: len(registry.asked) == 2, "waiting for a change")
            members.configure(found_in(registry.url, auth="http://h:1"))
            members.configure(found_in(registry.url))
            assert ports(members) == [81]
            registry.tell(82)
            await until(lambda: ports(members) == [82], "the same question is answered", 2)
            await until(lambda: len(registry.asked) == 3, "and goes on")
            assert registry.asked == [0, 7, 8]

    run(main())


def test_a_new_source_takes_over_when_it_answers_and_not_before(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        await registry.start()
        await registry.stop()  # its port is known, nobody listens yet
        fixed = config(upstreams={"image": "http://127.0.0.1:80"})
        async with membership(tmp_path, fixed) as (members, _):
            members.configure(found_in(registry.url))
            await until(lambda: row(members)["fault"], "the registry is down")
            assert ports(members) == [80]
        async with membership(tmp_path, found_in(registry.url)) as (members, _):
            assert ports(members) == [], "what the file said is not what the registry said"
        async with membership(tmp_path, fixed) as (members, _):
            members.configure(found_in(registry.url))
            await until(lambda: row(members)["fault"], "the registry is still down")
            assert ports(members) == [80]
            await registry.start()
            await until(lambda: ports(members) == [81], "it has answered")
            members.configure(fixed)
            assert ports(members) == [80]
            registry.tell(83)
            await registry.stop()
            assert ports(members) == [80], "the registry is not asked any more"

    run(main())


def test_an_upstream_that_is_taken_out_of_the_file_is_not_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        async with registry, membership(tmp_path) as (members, told):
            members.configure(found_in(registry.url, auth="http://h:1"))
            await members.first_answers(5)
            await until(lambda: len(registry.asked) == 2, "waiting for a change")
            told.clear()
            members.configure(config(upstreams={"auth": "http://h:1"}))
            registry.tell(82)
            await asyncio.sleep(0.05)
            assert list(members.members()) == ["auth"]
            assert not told
            assert len(registry.asked) == 2

    run(main())


def test_an_upstream_that_a_refused_file_took_out_comes_back_as_it_was(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81, 82)
        async with registry, membership(tmp_path) as (members, _):
            served = found_in(registry.url, auth="http://h:1")
            members.configure(served)
            await members.first_answers(5)
            members.drain("image", "127.0.0.1:82", True)
            registry.tell(81, 82, body="the registry has gone mad")
            members.configure(config(upstreams={"auth": "http://h:1"}))
            await asyncio.sleep(0)
            members.configure(served)
            assert [m.draining for m in members.members()["image"]] == [False, True]
            registry.tell(82, 83)
            await until(lambda: ports(members) == [82, 83], "it is asked again", 7)
            members.configure(config(upstreams={"auth": "http://h:1"}))
            members.configure(config(upstreams={"auth": "http://h:1"}))
            members.configure(served)
            assert not any(m.draining for m in members.members()["image"]), "long gone: a stranger"

    run(main())
