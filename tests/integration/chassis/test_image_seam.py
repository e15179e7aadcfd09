"""What the monolith's image seam makes of the client's refusals."""

from __future__ import annotations

from contextlib import closing

import pytest

from monolith.errors import ApiError
from monolith.seams.image import RemoteImages
from tests.integration.chassis.misbehaving import Misbehaving, answer, hang_up


def test_an_open_breaker_is_the_same_503_that_says_when_to_come_back() -> None:
    refused = []
    with Misbehaving(hang_up) as server, closing(RemoteImages.at(server.url)) as images:
        for _ in range(6):
            with pytest.raises(ApiError) as caught:
                images.process_and_store(b"picture", "t0ken")
            refused.append(caught.value)
        # A picture that may have been stored already is never sent a second time.
        assert len(server.requests) == 5
    assert {(each.status, each.code) for each in refused} == {(503, "image_service_unavailable")}
    waits = [int(each.headers["Retry-After"]) for each in refused]
    assert waits[:5] == [2] * 5
    assert waits[5] in (59, 60)


def test_refusals_of_the_service_pass_and_leave_the_breaker_closed() -> None:
    refusal = answer(
        415, b'{"error": {"code": "too_odd", "message": "No.", "status": 1, "headers": 2}}'
    )
    with Misbehaving(refusal) as server, closing(RemoteImages.at(server.url)) as images:
        for _ in range(8):
            with pytest.raises(ApiError, match=r"No\."):
                images.process_and_store(b"text", "t0ken")
        assert len(server.requests) == 8
