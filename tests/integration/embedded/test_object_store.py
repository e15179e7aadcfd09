import signal
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.processes import Running


def connect(store: Running) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{store.program.port}",
        aws_access_key_id="walk",
        aws_secret_access_key="walk",
        region_name="us-east-1",
    )


def test_objects_survive_a_kill_with_their_headers_and_deletes_stay(
    start: Any, tmp_path: Path
) -> None:
    first = start("object_store", tmp_path / "s3")
    s3 = connect(first)
    content = bytes(range(256)) * 400
    headers = {"ContentType": "image/jpeg", "CacheControl": "max-age=9", "Metadata": {"by": "Ann"}}
    s3.put_object(Bucket="pictures", Key="a/é b.jpg", Body=content, **headers)
    s3.put_object(Bucket="pictures", Key="gone.jpg", Body=b"x")
    s3.delete_object(Bucket="pictures", Key="gone.jpg")
    etag = s3.head_object(Bucket="pictures", Key="a/é b.jpg")["ETag"]
    s3.close()
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(10)

    s3 = connect(start("object_store", tmp_path / "s3"))
    found = s3.get_object(Bucket="pictures", Key="a/é b.jpg")
    assert found["Body"].read() == content
    assert (found["ETag"], found["ContentType"]) == (etag, "image/jpeg")
    assert (found["CacheControl"], found["Metadata"]) == ("max-age=9", {"by": "Ann"})
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="pictures", Key="gone.jpg")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="pictures")["Contents"]] == [
        "a/é b.jpg"
    ]
    s3.close()
