"""Where pictures are kept: S3, behind a port that tests can stand in for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from extracted.image.settings import Settings

CHUNK_BYTES = 65536
MISSING = {"404", "NoSuchKey", "NotFound"}


class StorageError(Exception):
    """The storage could not be reached, or would not do what was asked."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a kept picture without reading it: bytes, and its quoted ETag."""

    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A kept picture being read: take the chunks, then close."""

    facts: Facts
    chunks: Iterator[bytes]
    close: Callable[[], None]


class Storage(Protocol):
    """Keeps pictures by name. Every call may raise StorageError."""

    def put(self, name: str, jpeg: bytes) -> None:
        """Keep the picture; it can be read when this returns."""
        ...

    def look(self, name: str) -> Facts | None:
        """What is known of the picture, or None when there is none."""
        ...

    def open(self, name: str) -> Reading | None:
        """The picture, to be read and closed, or None when there is none."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class S3Storage:
    """Pictures as the objects of one bucket."""

    def __init__(self, settings: Settings) -> None:
        self._bucket = settings.s3_bucket
        self._s3: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=settings.s3_endpoint_url,
            aws_access_key_id=settings.aws_access_key_id,
            aws_secret_access_key=settings.aws_secret_access_key,
            region_name=settings.aws_region,
            config=Config(
                connect_timeout=2,
                read_timeout=10,
                max_pool_connections=32,
                retries={"mode": "standard", "total_max_attempts": 2},
            ),
        )

    def put(self, name: str, jpeg: bytes) -> None:
        """See `Storage`."""
        self._ask(self._s3.put_object, Key=name, Body=jpeg, ContentType="image/jpeg")

    def look(self, name: str) -> Facts | None:
        """See `Storage`."""
        found = self._ask(self._s3.head_object, Key=name)
        return found and Facts(found["ContentLength"], found["ETag"])

    def open(self, name: str) -> Reading | None:
        """See `Storage`."""
        found = self._ask(self._s3.get_object, Key=name)
        if found is None:
            return None
        body = found["Body"]
        facts = Facts(found["ContentLength"], found["ETag"])
        return Reading(facts, body.iter_chunks(CHUNK_BYTES), body.close)

    def close(self) -> None:
        """See `Storage`."""
        self._s3.close()

    def _ask(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        """S3's answer, or None for what is not there."""
        try:
            return operation(Bucket=self._bucket, **arguments)
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in MISSING:
                return None
            raise StorageError(str(error)) from error
