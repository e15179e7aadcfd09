"""An S3 server that keeps its objects: moto's, with each stored object also written to a folder.

moto holds objects in memory alone (parts over 5 MB in temporary files), so a restart would lose
what the blog's database still points at. Here a PUT is acknowledged once the object is on disk,
and an object of an earlier life is read when it is first asked for, so that a start takes no longer
for thousands of them. Buckets' settings, versions and multipart uploads that are not finished are
not kept. One process with a thread a connection; meant for a laptop, not for load.

The bucket is S3_BUCKET's. moto does not check signatures: any credentials are accepted.
"""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import FakeKey, S3Backend, s3_backends
from werkzeug.serving import make_server

from scripts.embedded.standin import LOOPBACK, announce, read_place, write_durably

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DEFAULT_REGION = "us-east-1"


class KeptObjects:
    """The folder behind a backend: `<bucket>/<quoted key>` and beside it a `.meta` of headers."""

    def __init__(self, directory: Path, backend: S3Backend) -> None:
        self._directory = directory
        self._backend = backend
        self._lock = threading.Lock()
        # By bucket, the keys that are on disk and not in the backend yet.
        self._unread: dict[str, set[str]] = {}

    def find(self) -> int:
        """See what an earlier life has kept, reading none of it; return how many objects."""
        for folder in filter(Path.is_dir, self._directory.iterdir()):
            keys = {unquote(meta.stem) for meta in folder.glob("*.meta")}
            if keys:
                self.ensure_bucket(folder.name)
                self._unread[folder.name] = keys
        return sum(map(len, self._unread.values()))

    def need(self, bucket: str, key: str) -> None:
        """Have an object in the backend, if there is one on disk."""
        # A second one who asks for it waits until it is there.
        with self._lock:
            if key in self._unread.get(bucket, ()):
                self._read(bucket, key)

    def need_all(self, bucket: str) -> None:
        """Have every object of a bucket in the backend."""
        with self._lock:
            for key in sorted(self._unread.get(bucket, ())):
                self._read(bucket, key)

    def _read(self, bucket: str, key: str) -> None:
        content = self._path(bucket, key)
        found = self._backend.put_object(bucket, key, content.read_bytes())
        found.set_metadata(json.loads(_meta(content).read_text("utf-8")), replace=True)
        self._unread[bucket].discard(key)

    def ensure_bucket(self, name: str) -> None:
        """Create a bucket unless it is there."""
        if name not in self._backend.buckets:
            self._backend.create_bucket(name, DEFAULT_REGION)
        (self._directory / name).mkdir(exist_ok=True)

    def follow(self, bucket: str, key: str) -> None:
        """Make the folder agree with the backend about one object."""
        content = self._path(bucket, key)
        meta = _meta(content)
        found: FakeKey | None = self._backend.get_object(bucket, key)
        if found is None:
            meta.unlink(missing_ok=True)
            content.unlink(missing_ok=True)
            return
        content.parent.mkdir(exist_ok=True)
        write_durably(content, found.value)
        # The meta file goes last: an object without one was never acknowledged.
        write_durably(meta, json.dumps(dict(found.metadata)).encode())

    def _path(self, bucket: str, key: str) -> Path:
        return self._directory / bucket / quote(key, safe="")


def _meta(content: Path) -> Path:
    return content.with_name(content.name + ".meta")


class WriteThrough:
    """A WSGI layer: reads what a request needs, and keeps what it changed before its answer."""

    def __init__(self, application: "WSGIApplication", kept: KeptObjects) -> None:
        self._application = application
        self._kept = kept

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer as moto does; a change of an object is on disk by then."""
        bucket, _, key = environ["PATH_INFO"].encode("latin-1").decode("utf-8")[1:].partition("/")
        if key:
            self._kept.need(bucket, key)
            source = unquote(environ.get("HTTP_X_AMZ_COPY_SOURCE", "")).lstrip("/")
            self._kept.need(*source.partition("?")[0].partition("/")[::2])
        elif environ["REQUEST_METHOD"] in ("GET", "POST"):
            self._kept.need_all(bucket)  # it may list them, or delete several
        changes = environ["REQUEST_METHOD"] in ("PUT", "POST", "DELETE") and bucket and key

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            if changes and status.startswith("2"):
                self._kept.follow(bucket, key)
            return start_response(status, headers, *more)

        return self._application(environ, start)


class QuietHandler(MotoRequestHandler):
    """moto's handler, without a line for each request."""

    def log_request(self, *_: Any) -> None:
        """Say nothing about a request that went well."""


def main() -> None:
    """Serve at the place that the command line names."""
    place = read_place(__doc__)
    bucket = os.environ.get("S3_BUCKET")
    if not bucket:
        sys.exit("object_store: S3_BUCKET is not set; name the bucket to create in it")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    kept = KeptObjects(place.directory, s3_backends[DEFAULT_ACCOUNT_ID]["aws"])
    kept.find()
    kept.ensure_bucket(bucket)
    application = WriteThrough(DomainDispatcherApplication(create_backend_app), kept)
    server = make_server(
        LOOPBACK, place.port, application, threaded=True, request_handler=QuietHandler
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    announce("object_store", f"http://{LOOPBACK}:{server.server_port}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
