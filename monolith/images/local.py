"""Image processing inside the monolith: the local side of the image seam."""

from __future__ import annotations

import uuid

from monolith.images.processing import make_jpeg
from monolith.images.storage import Bucket
from monolith.seams.image import StoredImage


class LocalImages:
    """Shrinks a picture in this process and puts it into the bucket under a new name."""

    def __init__(self, bucket: Bucket, max_bytes: int, max_pixels: int) -> None:
        self._bucket = bucket
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels

    def process_and_store(self, image: bytes, token: str) -> StoredImage:
        """See `ImagePort`. The token has been checked by whoever calls."""
        jpeg, width, height = make_jpeg(image, self._max_bytes, self._max_pixels)
        name = f"{uuid.uuid4().hex}.jpg"
        self._bucket.put(name, jpeg)
        return StoredImage(name, width, height)
