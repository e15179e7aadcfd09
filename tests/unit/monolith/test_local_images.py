from __future__ import annotations

import pytest

from monolith.errors import ApiError
from monolith.images.local import LocalImages
from monolith.places import Places
from tests.blog import photograph


class Bucket:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, name: str, jpeg: bytes) -> None:
        self.kept[name] = jpeg


def test_while_all_places_are_taken_a_picture_is_put_off() -> None:
    bucket, places = Bucket(), Places(1)
    images = LocalImages(bucket, 2_000_000, 1_000_000, places)
    with places.one(), pytest.raises(ApiError) as caught:
        images.process_and_store(photograph("rocket.jpg"), "")
    assert (caught.value.status, caught.value.code) == (503, "images_busy")
    assert caught.value.headers == {"Retry-After": "2"}
    assert bucket.kept == {}
    assert images.process_and_store(photograph("rocket.jpg"), "").name in bucket.kept
