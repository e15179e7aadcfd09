"""Where a service can be reached and how to tell if it is well, as Consul takes it.

Pure: reads the environment given and makes what is sent. It is sent by `registrar`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from extracted.chassis.settings import Environment, http_url

CHECK_INTERVAL = "1s"
CHECK_TIMEOUT = "1s"
# Consul takes no less. An instance that fails its check is not given out to anybody meanwhile.
DEREGISTER_AFTER = "1m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One instance of a service and the Consul agent that is to know it; `token` is for its ACL."""

    consul_url: str
    token: str | None
    name: str
    host: str
    port: int
    tags: tuple[str, ...] = ()

    @classmethod
    def from_environ(
        cls, variables: Mapping[str, str], name: str, bind: str, tags: Sequence[str] = ()
    ) -> Registration | None:
        """From CONSUL_URL, or None where it is not set; at ADVERTISE, or else where it is bound.

        Raises SettingsError naming every variable that is wrong.
        """
        if not variables.get("CONSUL_URL"):
            return None
        environment = Environment(name, variables)
        consul_url = environment.read("CONSUL_URL", http_url)
        token = environment.optional("CONSUL_HTTP_TOKEN", str)
        if variables.get("ADVERTISE"):
            address = environment.read("ADVERTISE", reachable)
        else:
            address = environment.read("BIND", reachable, bind)
        environment.check()
        host, port = address
        return cls(
            consul_url=consul_url, token=token, name=name, host=host, port=port, tags=tuple(tags)
        )

    @property
    def id(self) -> str:
        """The same for the whole process group, and after a restart at the same address."""
        return f"{self.name}-{self.host}-{self.port}"

    def body(self) -> dict[str, Any]:
        """What PUT /v1/agent/service/register takes."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return {
            "ID": self.id,
            "Name": self.name,
            "Address": self.host,
            "Port": self.port,
            "Tags": list(self.tags),
            "Check": {
                "HTTP": f"http://{host}:{self.port}/health",
                "Interval": CHECK_INTERVAL,
                "Timeout": CHECK_TIMEOUT,
                "DeregisterCriticalServiceAfter": DEREGISTER_AFTER,
            },
        }


def reachable(text: str) -> tuple[str, int]:
    """A host:port that others can connect to. Raises ValueError saying why it is none."""
    advice = "set ADVERTISE to the host:port at which others reach this service"
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.netloc != text or "@" in text or "," in text:
        raise ValueError(f"is {text!r}, which is no host:port for Consul; {advice}")
    if _is_wildcard(host):
        raise ValueError(f"is {text!r}, every address of this machine and none to call; {advice}")
    return host, port


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
