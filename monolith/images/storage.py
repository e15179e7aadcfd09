"""The blog's pictures in S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from monolith.errors import ApiError
from monolith.settings import Settings

MISSING = {"404", "NoSuchKey", "NotFound"}


@dataclass(frozen=True, slots=True)
class Found:
    """A picture in the bucket: size in bytes, ETag, and its bytes unless only asked about."""

    size: int
    etag: str
    chunks: Iterator[bytes]
    close: Callable[[], None]


class Bucket:
    """One bucket. Raises ApiError 503 when S3 cannot be reached or will not answer."""

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

    def close(self) -> None:
        """Close the connections to S3."""
        self._s3.close()

    def put(self, name: str, jpeg: bytes) -> None:
        """Store a picture; it is there when this returns."""
        self._call(self._s3.put_object, Key=name, Body=jpeg, ContentType="image/jpeg")

    def get(self, name: str) -> Found | None:
        """The picture, to be read and closed, or None."""
        answer = self._call(self._s3.get_object, Key=name)
        if answer is None:
            return None
        body = answer["Body"]
        return Found(answer["ContentLength"], answer["ETag"], body.iter_chunks(65536), body.close)

    def head(self, name: str) -> Found | None:
        """The picture's size and ETag without its bytes, or None."""
        answer = self._call(self._s3.head_object, Key=name)
        if answer is None:
            return None
        return Found(answer["ContentLength"], answer["ETag"], iter(()), lambda: None)

    def _call(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return operation(Bucket=self._bucket, **arguments)
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in MISSING:
                return None
            message = "Images cannot be stored or read at the moment; try again later."
            raise ApiError(503, "storage_unavailable", message) from error
