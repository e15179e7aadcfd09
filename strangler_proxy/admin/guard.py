"""Who may ask, and how what goes wrong is told: the layers around every admin resource.

A browser is never a client of this interface: it would act for whoever lures it to a page.
"""

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Middleware

from strangler_proxy.config import ConfigError

log = logging.getLogger(__name__)
HEALTH = "/health"
"""The one resource that needs no token: it says nothing but whether the proxy serves."""
_LOG_EVERY_S = 5.0
_KEPT = ("WWW-Authenticate", "Allow")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """What was asked cannot be done; the message says why, for people."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def unknown(what: str, name: str, known: Iterable[str]) -> Refusal:
    """404 with what there is instead."""
    return Refusal(404, f"there is no {what} '{name}'; there are: {', '.join(known) or 'none'}")


@web.middleware
async def told_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every problem is JSON: {"title", "status", "detail"}, or all of a file's problems."""
    try:
        return await handler(request)
    except ConfigError as refused:
        problems = [
            {"file": p.file, "line": p.line, "where": p.where, "message": p.message}
            for p in refused.problems
        ]
        return web.json_response({"problems": problems}, status=422)
    except Refusal as refusal:
        return _problem(refusal.status, str(refusal))
    except web.HTTPException as error:
        kept = {name: error.headers[name] for name in _KEPT if name in error.headers}
        return _problem(error.status, error.text or error.reason, kept)
    except Exception:
        log.exception("admin: %s %s failed", request.method, request.path)
        return _problem(500, "something went wrong inside; the proxy's log has more")


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.json_response(body, status=status, headers=headers)


@web.middleware
async def json_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A body must be said to be JSON: a form of another site's page cannot say so."""
    if request.body_exists and request.content_type != "application/json":
        raise Refusal(415, "send JSON, with Content-Type: application/json")
    return await handler(request)


@web.middleware
async def no_browsers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Browsers say on whose page's behalf they ask; nobody else does."""
    if "Origin" in request.headers:
        raise Refusal(403, "this interface is not for web pages: it answers no request with Origin")
    return await handler(request)


def noted_in(asking: set[object]) -> Middleware:
    """Keep the connections there whose requests are being answered."""

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        asking.add(request.protocol)
        try:
            return await handler(request)
        finally:
            asking.discard(request.protocol)

    return note


def requires_token(token: str, attempts: "Attempts") -> Middleware:
    """Let only those ask who have the token, compared in constant time."""
    expected = token.encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == HEALTH:
            return await handler(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # Header bytes that are no UTF-8 come as surrogates.
        presented = given.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() == "bearer" and hmac.compare_digest(presented, expected):
            return await handler(request)
        attempts.failed(request.remote or "nowhere", "a wrong token" if given else "no token")
        challenge = 'Bearer realm="strangler"' + (', error="invalid_token"' if given else "")
        raise web.HTTPUnauthorized(
            headers={"WWW-Authenticate": challenge},
            text="send the token of STRANGLER_ADMIN_TOKEN: Authorization: Bearer <token>",
        )

    return check


class Attempts:
    """Tells of failed attempts, a line every few seconds at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quiet_until = float("-inf")
        self._untold = 0

    def failed(self, peer: str, how: str) -> None:
        """Somebody was turned away."""
        now = self._clock()
        if now < self._quiet_until:
            self._untold += 1
            return
        more = f"; {self._untold} more since the last line like this" if self._untold else ""
        log.warning("admin address: %s was turned away with %s%s", peer, how, more)
        self._quiet_until, self._untold = now + _LOG_EVERY_S, 0
