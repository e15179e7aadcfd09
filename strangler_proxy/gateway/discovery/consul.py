"""The healthy instances of a Consul service, by blocking queries.

Follows what Consul asks of its clients (API documentation, Features, Blocking Queries): an index
that goes backwards begins anew, none is below 1, timeouts allow for `wait / 16`, the rate of
questions is bounded. Consul allows one client address 200 connections (`http_max_conns_per_client`)
and each upstream keeps one.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from strangler_proxy.config import Consul
from strangler_proxy.config.address import Address
from strangler_proxy.config.upstream import ConsulService
from strangler_proxy.gateway.discovery.pace import Pace
from strangler_proxy.gateway.discovery.source import NoAnswer, gathered, usable
from strangler_proxy.gateway.sessions import reason

log = logging.getLogger(__name__)
WAIT_S = 20.0
ANSWER_S = 5.0
"""An answer that needs no waiting for a change must be here by then."""
CONNECT_S = 2.0
MOST_BYTES = 8 * 2**20
_TOLD_BYTES = 200


class _Node(msgspec.Struct, rename="pascal"):
    address: str = ""


class _Service(msgspec.Struct, rename="pascal"):
    address: str = ""
    port: int = 0


class _Instance(msgspec.Struct, rename="pascal"):
    node: _Node
    service: _Service

    @property
    def host(self) -> str:
        """An instance that names no address of its own is found at its node's."""
        return self.service.address or self.node.address


def described(consul: Consul, wanted: ConsulService) -> str:
    """The source in words, different for each definition."""
    tag = f" with tag {wanted.tag!r}" if wanted.tag is not None else ""
    where = f" in datacenter {consul.datacenter!r}" if consul.datacenter is not None else ""
    return f"service {wanted.service!r}{tag} of Consul at {consul.url}{where}"


def next_index(asked: int, given: int) -> int:
    """The index to ask with, after asking with one and being given one."""
    return 0 if given < asked else max(given, 1)


class ConsulSource:
    """One service as a registry knows it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        consul: Consul,
        wanted: ConsulService,
        clock: Callable[[], float],
        *,
        wait_s: float = WAIT_S,
        answer_s: float = ANSWER_S,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._session = session
        self._consul = consul
        self._wanted = wanted
        self._clock = clock
        self._wait_s = wait_s
        self._answer_s = answer_s
        self._environment = environment
        self._pace = Pace(burst=5, every_s=1.0)
        self._index = 0
        self._unusable = frozenset[tuple[str, int]]()

    async def ask(self) -> tuple[Address, ...]:
        """Wait for a change, at most `wait_s` and a little; NoAnswer after any kind of failure."""
        await asyncio.sleep(self._pace.delay_s(self._clock()))
        # Whatever goes wrong, the next question begins anew: the registry may have been replaced.
        index, self._index = self._index, 0
        patience_s = self._answer_s + (self._wait_s * 17 / 16 if index else 0)
        try:
            async with asyncio.timeout(patience_s):
                given, instances = await self._query(index)
        except TimeoutError:
            raise NoAnswer(f"no answer in {patience_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise NoAnswer(reason(fault)) from fault
        addresses = self._addresses(instances)
        self._index = next_index(index, given)
        return addresses

    async def _query(self, index: int) -> tuple[int, list[_Instance]]:
        async with self._session.get(
            self._url(index),
            headers={"Accept-Encoding": "identity", **self._credentials()},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            allow_redirects=False,  # the token is for this registry alone
        ) as response:
            body = await _bounded(response.content)
            if response.status != 200:
                raise NoAnswer(f"it answered {response.status} {_told(body)}".rstrip())
            instances = _decoded(body)
            said = response.headers
            if said.get("X-Consul-KnownLeader", "").lower() == "false":
                raise NoAnswer("it has no leader")
            if not instances and said.get("X-Consul-Results-Filtered-By-ACLs", "") == "true":
                raise NoAnswer("its access rules hide the instances from this token")
            return _index(said.get("X-Consul-Index", "")), instances

    def _url(self, index: int) -> URL:
        query = {"passing": "1", "index": str(index), "wait": f"{self._wait_s * 1000:.0f}ms"}
        if self._wanted.tag is not None:
            query["tag"] = self._wanted.tag
        if self._consul.datacenter is not None:
            query["dc"] = self._consul.datacenter
        service = quote(self._wanted.service, safe="")
        base = self._consul.url.rstrip("/")
        return URL(f"{base}/v1/health/service/{service}?{urlencode(query)}", encoded=True)

    def _credentials(self) -> dict[str, str]:
        variable = self._consul.token_env
        if variable is None:
            return {}
        token = self._environment.get(variable, "").strip()
        if not token:
            raise NoAnswer(f"the variable {variable} holds no token: consul.token_env names it")
        return {"X-Consul-Token": token}

    def _addresses(self, instances: list[_Instance]) -> tuple[Address, ...]:
        found = {(each.host, each.service.port): None for each in instances}
        good = {named: usable(*named) for named in found}
        unusable = frozenset(named for named, address in good.items() if address is None)
        if unusable and len(unusable) == len(found):
            raise NoAnswer(f"none of its {len(found)} instances has an address with a port")
        if unusable - self._unusable:
            log.warning(
                "%s: %d instances without a usable address and port are left out, such as %r",
                described(self._consul, self._wanted),
                len(unusable),
                min(unusable),
            )
        self._unusable = unusable
        addresses = [address for address in good.values() if address is not None]
        return gathered(described(self._consul, self._wanted), addresses)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > MOST_BYTES:
            raise NoAnswer(f"its answer is longer than {MOST_BYTES} bytes")
    return bytes(body)


def _decoded(body: bytes) -> list[_Instance]:
    try:
        return msgspec.json.decode(body, type=list[_Instance])
    except (msgspec.DecodeError, RecursionError) as fault:
        raise NoAnswer(f"its answer is not a list of instances: {fault}") from fault


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise NoAnswer("its answer has no X-Consul-Index: is this a Consul agent?")
    return int(text)


def _told(body: bytes) -> str:
    """The beginning of an error's body, fit for one line of a log."""
    text = body[:_TOLD_BYTES].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in text).strip()
