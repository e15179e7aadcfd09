"""The image seam: how the monolith has a picture made and stored, here or by the service."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Protocol

from extracted.chassis.answered import holds, refusal_in
from extracted.chassis.client import BreakerOpenError, ServiceClient, ServiceUnavailableError
from extracted.chassis.places import NoPlaceError, Places
from monolith.errors import ApiError
from monolith.seams.switch import Switch

log = logging.getLogger(__name__)

# A large picture takes a second of CPU, and may wait for a busy worker before that.
TIMEOUT_S = 30.0
AT_ONCE = 7  # of eight threads, which are the default
STORED = {"name": str, "width": int, "height": int}


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A picture that is in the bucket. Width and height are in pixels."""

    name: str
    width: int
    height: int

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"/images/{self.name}"


class ImagePort(Protocol):
    """Makes a blog picture of an uploaded file and stores it."""

    def process_and_store(self, image: bytes, token: str) -> StoredImage:
        """Store the picture, on behalf of the caller whose token this is.

        Raises:
            ApiError: 4xx when the file is no picture for the blog, 503 when it cannot be stored.
        """
        ...


class RemoteImages:
    """Has the image service do it, over POST /upload; its refusals are passed on as they are."""

    def __init__(self, client: ServiceClient, places: Places) -> None:
        self._client = client
        self._places = places

    @classmethod
    def at(cls, url: str, at_once: int = AT_ONCE) -> RemoteImages:
        """Reach the service at this address, under the id and trace of the request being served.

        So many threads ask it at once at most, so that it never has all of them when it hangs.
        """
        return cls(ServiceClient(url, timeout_s=TIMEOUT_S), Places(at_once))

    def close(self) -> None:
        """Close the connections to the service."""
        self._client.close()

    def process_and_store(self, image: bytes, token: str) -> StoredImage:
        """See `ImagePort`."""
        try:
            with self._places.one():
                answer = self._client.request(
                    "POST", "/upload", token=token, files={"image": ("image", image)}
                )
        except BreakerOpenError as error:
            raise _unavailable(math.ceil(error.retry_after_s)) from error
        except (ServiceUnavailableError, NoPlaceError) as error:
            raise _unavailable() from error
        if holds(answer, STORED):
            return StoredImage(**{name: answer.json[name] for name in STORED})
        if (refusal := refusal_in(answer)) is not None:
            raise ApiError(refusal.status, headers=refusal.headers, **refusal.error)
        log.error("The image service answered %s: %s", answer.status, answer.json.get("error"))
        raise _unavailable()


class SwitchedImages:
    """Local or remote, as the switch stands when a request comes."""

    def __init__(self, switch: Switch, local: ImagePort, remote: ImagePort) -> None:
        self._switch = switch
        self._local = local
        self._remote = remote

    def process_and_store(self, image: bytes, token: str) -> StoredImage:
        """See `ImagePort`."""
        chosen = self._remote if self._switch.mode("image") == "remote" else self._local
        return chosen.process_and_store(image, token)


def _unavailable(retry_after_s: int = 2) -> ApiError:
    message = "Images cannot be processed at the moment; try again later."
    headers = {"Retry-After": str(retry_after_s)}
    return ApiError(503, "image_service_unavailable", message, headers=headers)
