"""What the image service needs to know, read from the environment once. Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from extracted.chassis.settings import Environment, http_url, whole
from extracted.chassis.tokens import TokenSettings


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # it has secrets
class Settings:
    """Sizes are in bytes; `max_pixels` is width times height of an upload.

    `pictures_at_once` are made in one process, each in half a gigabyte at worst.
    """

    tokens: TokenSettings
    s3_bucket: str
    s3_endpoint_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_region: str = "us-east-1"
    max_upload_bytes: int = 16 * 1024 * 1024
    max_pixels: int = 50_000_000
    pictures_at_once: int = 1

    @classmethod
    def from_environ(cls, variables: Mapping[str, str]) -> Settings:
        """Raises SettingsError naming every variable that is missing or wrong."""
        environment = Environment("image", variables)
        read = environment.read
        settings = cls(
            tokens=TokenSettings.read(environment),
            s3_bucket=read("S3_BUCKET", str),
            s3_endpoint_url=environment.optional("S3_ENDPOINT_URL", http_url),
            aws_access_key_id=environment.optional("AWS_ACCESS_KEY_ID", str),
            aws_secret_access_key=environment.optional("AWS_SECRET_ACCESS_KEY", str),
            aws_region=read("AWS_DEFAULT_REGION", str, "us-east-1"),
            max_upload_bytes=read("MAX_UPLOAD_BYTES", whole(1024, 2**30), "16777216"),
            max_pixels=read("MAX_IMAGE_PIXELS", whole(1, 170_000_000), "50000000"),
            pictures_at_once=read("PICTURES_AT_ONCE", whole(1, 1000), "1"),
        )
        environment.check()
        return settings
