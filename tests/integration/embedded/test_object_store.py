import signal
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.s3.models import S3Backend

from scripts.embedded.object_store import KeptObjects
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


def keep(folder: Path, count: int) -> None:
    """So many small pictures, as an earlier life has left them."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:05d}.jpg").write_bytes(b"picture %d" % number)
        (folder / f"{number:05d}.jpg.meta").write_text('{"Content-Type": "image/jpeg"}')


class CountingBackend(S3Backend):
    """Counts what is put into it."""

    puts = 0

    def put_object(self, *given: Any, **named: Any) -> Any:
        self.puts += 1
        return super().put_object(*given, **named)


def test_a_start_reads_no_object_and_each_is_read_once_when_it_is_needed(tmp_path: Path) -> None:
    keep(tmp_path / "pictures", 20)
    backend = CountingBackend("us-east-1", "123456789012")
    kept = KeptObjects(tmp_path, backend)
    assert kept.find() == 20
    assert backend.puts == 0
    for _ in range(2):
        kept.need("pictures", "00007.jpg")
        kept.need("pictures", "none.jpg")
        kept.need("elsewhere", "00007.jpg")
    assert backend.puts == 1
    found = backend.get_object("pictures", "00007.jpg")
    assert found is not None
    assert found.value == b"picture 7"
    for _ in range(2):
        kept.need_all("pictures")
    assert backend.puts == 20


def test_thousands_of_objects_are_there_after_a_start_and_can_be_changed_and_listed(
    start: Any, tmp_path: Path
) -> None:
    count = 3000
    keep(tmp_path / "s3" / "pictures", count)
    s3 = connect(start("object_store", tmp_path / "s3"))
    for number in (0, 1234, count - 1):
        found = s3.get_object(Bucket="pictures", Key=f"{number:05d}.jpg")
        assert found["Body"].read() == b"picture %d" % number
        assert found["ContentType"] == "image/jpeg"
    s3.put_object(Bucket="pictures", Key="00001.jpg", Body=b"another")
    s3.delete_object(Bucket="pictures", Key="00002.jpg")
    source = {"Bucket": "pictures", "Key": "00003.jpg"}
    s3.copy_object(Bucket="pictures", Key="copy.jpg", CopySource=source)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="pictures")
    keys = {each["Key"] for page in pages for each in page["Contents"]}
    assert keys == {"copy.jpg", *(f"{number:05d}.jpg" for number in range(count))} - {"00002.jpg"}
    assert s3.get_object(Bucket="pictures", Key="00001.jpg")["Body"].read() == b"another"
    assert s3.get_object(Bucket="pictures", Key="copy.jpg")["Body"].read() == b"picture 3"
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="pictures", Key="00002.jpg")
    s3.close()
