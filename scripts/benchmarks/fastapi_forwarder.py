"""The forwarder of the tutorials: FastAPI in front, one shared httpx client behind.

It is written as people write it, which includes that it holds each body in memory. It runs in the
peers' own environment and imports nothing of this project.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx  # type: ignore[import-not-found]  # both are in .venv-bench alone
from fastapi import FastAPI, Request, Response  # type: ignore[import-not-found]

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


def create_app() -> FastAPI:
    """Build the application; the upstreams are PAGES_URL and SINK_URL in the environment."""
    prefixes = {
        "/posts": os.environ["PAGES_URL"],
        "/images": os.environ["PAGES_URL"],
        "/upload": os.environ["SINK_URL"],
    }

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # By default 20 idle connections are kept, fewer than the load uses: the others would be
        # opened anew for each request.
        limits = httpx.Limits(max_connections=128, max_keepalive_connections=128)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])  # type: ignore[untyped-decorator]
    async def forward(request: Request) -> Response:
        upstream = next(
            (url for prefix, url in prefixes.items() if request.url.path.startswith(prefix)), None
        )
        if upstream is None:
            return Response(status_code=404)
        headers = {k: v for k, v in request.headers.items() if k not in HOP_BY_HOP}
        headers["x-forwarded-for"] = request.client.host if request.client else ""
        headers["x-request-id"] = str(uuid.uuid4())
        answer = await request.app.state.client.request(
            request.method,
            upstream + request.url.path,
            params=request.query_params,
            headers=headers,
            content=await request.body(),
        )
        return Response(
            content=answer.content,
            status_code=answer.status_code,
            headers={k: v for k, v in answer.headers.items() if k not in HOP_BY_HOP},
        )

    return app
