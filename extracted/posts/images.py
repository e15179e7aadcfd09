"""Pictures of posts: the image service makes and keeps them, and says where they are served."""

from __future__ import annotations

from extracted.chassis.breaker import Breaker
from extracted.chassis.client import ServiceClient
from extracted.chassis.places import Places
from extracted.posts.asking import Asked

# A large picture takes a second of CPU, and may wait for a busy worker before that.
TIMEOUT_S = 30.0
# People wait for their post: whoever comes so long after a failure finds out whether it is back.
LEFT_ALONE_S = 5.0


class Images:
    """The image service at `url`, behind a breaker of its own, asked by `at_once` threads at most.

    Nobody waits for them: who did would be one thread more that does nothing else.
    """

    def __init__(self, url: str, at_once: int) -> None:
        breaker = Breaker("The image service", open_s=LEFT_ALONE_S)
        self._client = ServiceClient(url, timeout_s=TIMEOUT_S, breaker=breaker)
        self._service = Asked(
            self._client,
            Places(at_once),
            "image_service_unavailable",
            "Images cannot be processed at the moment; try again later.",
        )

    def store(self, image: bytes, token: str) -> str:
        """Have a picture stored for the caller whose token this is; the path it is served at.

        Raises Refusal: 4xx when the file is no picture for the blog, 503 when it cannot be stored.
        """
        files = {"image": ("image", image)}
        answer = self._service.post("/upload", {"name": str}, token=token, files=files)
        return f"/images/{answer['name']}"

    def close(self) -> None:
        """Close the connections to the service."""
        self._client.close()
