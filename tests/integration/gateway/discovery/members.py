"""The members of upstreams as discovery finds them, for as long as a test lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from strangler_proxy.config import Config
from strangler_proxy.gateway.membership import Membership
from tests.wire_tools.proxy import config


class Told(list[frozenset[str]]):
    """What `changed` was called with."""


@asynccontextmanager
async def membership(
    tmp_path: Path, settings: Config | None = None, **more: Any
) -> AsyncIterator[tuple[Membership, Told]]:
    told = Told()
    members = Membership(told.append, tmp_path / "addresses.json", **more)
    try:
        if settings is not None:
            members.configure(settings)
        yield members, told
    finally:
        await members.close()


def ports(members: Membership, upstream: str = "image") -> list[int]:
    return [member.address.port for member in members.members()[upstream]]


def row(members: Membership, upstream: str = "image") -> dict[str, Any]:
    return next(row for row in members.status() if row["upstream"] == upstream)


def found_in(url: str, **upstreams: Any) -> Config:
    upstreams.setdefault("image", {"consul": {"service": "image"}})
    return config(upstreams=upstreams, consul={"url": url})
