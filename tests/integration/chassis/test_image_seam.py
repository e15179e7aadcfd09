"""What the monolith's image seam makes of the client's refusals."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from flask import Flask, Response, jsonify

from monolith.errors import ApiError
from monolith.seams.image import RemoteImages
from tests.blog import served
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


def test_a_service_that_hangs_takes_only_as_many_threads_as_it_may() -> None:
    asked, go_on = threading.Event(), threading.Event()
    service = Flask(__name__)

    @service.post("/upload")
    def upload() -> tuple[Response, int]:
        asked.set()
        assert go_on.wait(30)
        return jsonify(name="a.jpg", width=1, height=1), 201

    with (
        served(service) as url,
        closing(RemoteImages.at(url, at_once=1)) as images,
        ThreadPoolExecutor(1) as pool,
    ):
        under_way = pool.submit(images.process_and_store, b"picture", "t0ken")
        assert asked.wait(30)
        with pytest.raises(ApiError) as caught:
            images.process_and_store(b"picture", "t0ken")
        go_on.set()
        assert under_way.result(30).name == "a.jpg"
    assert (caught.value.status, caught.value.code) == (503, "image_service_unavailable")
    assert caught.value.headers == {"Retry-After": "2"}
