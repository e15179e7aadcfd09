"""Image processing inside the monolith: the local side of the image seam."""

from __future__ import annotations

import uuid

from monolith.errors import ApiError
from monolith.images.processing import make_jpeg
from monolith.images.storage import Bucket
from monolith.places import NoPlaceError, Places
from monolith.seams.image import StoredImage


class LocalImages:
    """Shrinks a picture in this process and puts it into the bucket under a new name.

    It may take half a gigabyte to do so: it is done in one of `places`, or refused.
    """

    def __init__(self, bucket: Bucket, max_bytes: int, max_pixels: int, places: Places) -> None:
        self._bucket = bucket
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._places = places

    def process_and_store(self, image: bytes, token: str) -> StoredImage:
        """See `ImagePort`. The token has been checked by whoever calls."""
        try:
            with self._places.one():
                jpeg, width, height = make_jpeg(image, self._max_bytes, self._max_pixels)
        except NoPlaceError:
            raise _busy() from None
        name = f"{uuid.uuid4().hex}.jpg"
        self._bucket.put(name, jpeg)
        return StoredImage(name, width, height)


def _busy() -> ApiError:
    message = "Too many images are being processed at the moment; try again later."
    return ApiError(503, "images_busy", message, headers={"Retry-After": "2"})
