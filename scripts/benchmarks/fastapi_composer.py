"""The composition of the tutorials: FastAPI in front, httpx and asyncio.gather behind.

What does not depend on the post is asked together with it. It runs in the peers' own environment
and imports nothing of this project.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx  # type: ignore[import-not-found]  # both are in .venv-bench alone
from fastapi import FastAPI, HTTPException, Request  # type: ignore[import-not-found]

PASSED = ("authorization", "cookie", "accept-language", "traceparent")


def create_app() -> FastAPI:
    """Build the application; the upstream of all parts is PAGES_URL in the environment."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # By default 20 idle connections are kept, fewer than the load uses: the others would be
        # opened anew for each request.
        limits = httpx.Limits(max_connections=128, max_keepalive_connections=128)
        async with httpx.AsyncClient(
            base_url=os.environ["PAGES_URL"], timeout=5, limits=limits
        ) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/api/posts/{post_id}")  # type: ignore[untyped-decorator]
    async def compose(post_id: int, request: Request) -> dict[str, Any]:
        client: httpx.AsyncClient = request.app.state.client
        headers = {k: v for k, v in request.headers.items() if k in PASSED}

        async def fetch(path: str) -> Any:
            answer = await client.get(path, headers=headers)
            answer.raise_for_status()
            return answer.json()

        try:
            post, comments = await asyncio.gather(
                fetch(f"/posts/{post_id}"), fetch(f"/comments?post={post_id}")
            )
            author = await fetch(f"/users/{post['author']['id']}")
        except httpx.HTTPStatusError as fault:
            raise HTTPException(fault.response.status_code) from fault
        except httpx.HTTPError as fault:
            raise HTTPException(502) from fault
        return {"post": post, "author": author, "comments": comments["comments"]}

    return app
