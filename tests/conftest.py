"""What many tests stand on: an S3 server, the three databases, patience."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import boto3
import pytest
from hypothesis import HealthCheck, settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.mongodb.replica_set import replica_set, scratch_documents
from tests.services import scratch_database
from tests.shell import forget_the_site

# Before any test is imported: what its own children inherit is already clean.
forget_the_site(os.environ)

# How long an example takes says how busy the machine is, and nothing of what is tested. With CI
# set, Hypothesis draws the same examples each time.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

# Who is started in the background ignores Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class S3:
    """A running S3 server and a bucket of one's own on it."""

    endpoint_url: str
    bucket: str

    def settings(self) -> dict[str, str]:
        """The settings that lead there."""
        return {"s3_endpoint_url": self.endpoint_url, "s3_bucket": self.bucket}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """moto's S3 on a socket of this process."""
    from scripts.embedded.object_store import QuietHandler

    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def s3(s3_endpoint: str) -> S3:
    """A bucket of this module's own."""
    bucket = f"blog-{uuid.uuid4().hex[:12]}"
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=bucket)
    client.close()
    return S3(s3_endpoint, bucket)


@pytest.fixture(
    scope="module",
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.services),
        pytest.param("mysql", marks=pytest.mark.services),
    ],
)
def database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An empty database of this module's own, of each kind."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path_factory.mktemp('database') / 'blog.db'}"
        else:
            yield stack.enter_context(scratch_database(request.param))


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB's URL, or that of what stands in for a replica set; for tests marked `services`."""
    with replica_set(tmp_path_factory.mktemp("mongodb")) as server:
        yield server


@pytest.fixture
def document_database(mongodb: str) -> Iterator[str]:
    """An empty database there, of this test's own."""
    with scratch_documents(mongodb) as url:
        yield url
