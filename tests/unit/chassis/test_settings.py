from __future__ import annotations

import pytest

from extracted.chassis.settings import SettingsError
from extracted.image.settings import Settings

GOOD = {"JWT_SECRET": "x" * 32, "S3_BUCKET": "blog"}


def test_a_good_environment_is_read_with_its_defaults() -> None:
    settings = Settings.from_environ({**GOOD, "S3_ENDPOINT_URL": "http://127.0.0.1:9000/"})
    assert settings.s3_endpoint_url == "http://127.0.0.1:9000"
    assert settings.max_upload_bytes == 16 * 1024 * 1024
    assert settings.aws_access_key_id is None


def test_every_fault_is_reported_at_once() -> None:
    wrong = {"JWT_SECRET": "short", "S3_ENDPOINT_URL": "nowhere", "MAX_IMAGE_PIXELS": "-1"}
    wrong["PICTURES_AT_ONCE"] = "0"
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(wrong)
    told = str(caught.value)
    for name in ("JWT_SECRET", "S3_BUCKET is not set", "S3_ENDPOINT_URL", *list(wrong)[2:]):
        assert name in told
    assert len(caught.value.problems) == 5
    assert "short" not in told.replace("shorter", "")  # a secret is never printed
