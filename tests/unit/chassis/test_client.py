"""The client between services, against a real server that misbehaves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from pytest_httpserver import HTTPServer

from extracted.chassis.client import ServiceClient, ServiceUnavailableError


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[ServiceClient]:
    with closing(
        ServiceClient(httpserver.url_for(""), timeout_s=5, request_id=lambda: "req-1")
    ) as client:
        yield client


def test_token_and_request_id_are_passed_on(httpserver: HTTPServer, client: ServiceClient) -> None:
    wanted = {"Authorization": "Bearer t0ken", "X-Request-ID": "req-1"}
    httpserver.expect_request("/upload", "POST", headers=wanted).respond_with_json(
        {"name": "a.jpg"}, 201
    )
    answer = client.request("POST", "/upload", token="t0ken", files={"image": ("image", b"x")})
    assert (answer.status, answer.json) == (201, {"name": "a.jpg"})


@pytest.mark.parametrize("body", ["<html>", "[1]", ""])
def test_a_body_that_is_no_object_reads_as_empty(
    httpserver: HTTPServer, client: ServiceClient, body: str
) -> None:
    httpserver.expect_request("/").respond_with_data(body, 502)
    answer = client.request("GET", "/")
    assert (answer.status, answer.json) == (502, {})


def test_a_service_that_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        closing(ServiceClient(f"http://127.0.0.1:{port}", timeout_s=1)) as client,
        pytest.raises(ServiceUnavailableError, match="POST http"),
    ):
        client.request("POST", "/upload")


def test_silence_ends_at_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            closing(ServiceClient(url, timeout_s=0.1)) as client,
            pytest.raises(ServiceUnavailableError),
        ):
            client.request("POST", "/upload")


class HangsUp:
    """Accepts connections, reads a little, and closes without an answer; counts them."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.accepted = 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65536):
                    self.accepted += 1

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.mark.parametrize(("method", "attempts"), [("GET", 3), ("POST", 1)])
def test_only_what_may_be_done_twice_is_tried_again(method: str, attempts: int) -> None:
    with closing(HangsUp()) as server:
        url = f"http://127.0.0.1:{server.listener.getsockname()[1]}"
        with (
            closing(ServiceClient(url, timeout_s=5)) as client,
            pytest.raises(ServiceUnavailableError),
        ):
            client.request(method, "/")
        assert server.accepted == attempts
