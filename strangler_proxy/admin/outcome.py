"""How an order to the proxy ended, as an answer; and whether somebody still waits for it."""

from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web

from strangler_proxy.admin.audit import AuditFailed
from strangler_proxy.admin.guard import Refusal
from strangler_proxy.admin.proxy import Proxy
from strangler_proxy.config import ConfigError, Problem

T = TypeVar("T")


async def done(proxy: Proxy, doing: Awaitable[T]) -> T:
    """Wait for the proxy; what it will not do is told as what the client did wrong."""
    try:
        return await doing
    except AuditFailed as fault:
        # As the refusal of a file, so that whoever has edited it puts it back.
        path = str(proxy.config_path)
        raise ConfigError([Problem(path, None, "audit", str(fault))]) from fault
    except LookupError as fault:
        raise Refusal(404, str(fault.args[0] if fault.args else fault)) from fault
    except ValueError as fault:
        raise Refusal(422, str(fault)) from fault
    except TimeoutError as fault:
        message = "not every worker has confirmed in time; ask for the status"
        raise Refusal(504, message) from fault
    except OSError as fault:
        raise Refusal(500, f"the file could not be changed: {fault}") from fault


def is_waited_for(request: web.Request) -> bool:
    """Whether whoever asked has not hung up: what is bound to a moment is not done after it."""
    transport = request.transport
    return transport is not None and not transport.is_closing()
