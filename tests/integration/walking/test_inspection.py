"""The audit against the real blog: it finds nothing, then each thing that is tampered with."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import boto3
import pytest
import requests

from scripts import stack
from scripts.processes import Fleet
from scripts.walking.cast import Cast
from scripts.walking.client import Scene
from scripts.walking.figures import Figures
from scripts.walking.inspection import inspect
from scripts.walking.journal import Journal
from scripts.walking.photographs import ordinary, take


class Blog:
    """The monolith on its stand-ins after some clients have written, without a proxy before it."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        self.folder = folder
        ports = stack.Ports.free()
        self.environ = stack.environment(folder, ports, stack.new_secrets())
        self.environ["BCRYPT_ROUNDS"] = "4"
        for program in stack.stand_ins(folder, ports, self.environ):
            fleet.start(program)
        stack.migrate(fleet, self.environ)
        fleet.start(stack.monolith(ports, self.environ, workers=1))
        address = f"http://127.0.0.1:{ports.monolith}"
        self.scene = Scene(address, Journal(), Figures(), ordinary(Random(1))[:3])
        self.cast = Cast(self.scene, 1, [take("coffee.png", 640)], 1)

    def write(self) -> None:
        self.cast.join()
        self.cast.seed_posts(4)
        for member in self.cast.members:
            for _ in range(4):
                member.work()

    def findings(self) -> set[tuple[str, str]]:
        """What the audit finds, as kind and place."""
        tokens = [payer.client.token or "" for payer in self.cast.payers]
        found = inspect(self.scene, self.environ, self.folder / "mail", tokens)
        return {(finding.kind, finding.place) for finding in found}

    def sql(self, statement: str) -> None:
        with sqlite3.connect(self.folder / "blog.db", timeout=10) as database:
            database.execute("PRAGMA foreign_keys = ON")
            database.execute(statement)
        database.close()


@pytest.fixture
def blog(tmp_path: Path) -> Iterator[Blog]:
    with Fleet(tmp_path / "log") as fleet:
        blog = Blog(tmp_path, fleet)
        try:
            blog.write()
            yield blog
        finally:
            blog.cast.close()


def test_an_untouched_blog_has_no_findings_and_each_tampering_is_found_where_it_shows(
    blog: Blog,
) -> None:
    assert blog.scene.figures.failures == []
    assert blog.findings() == set()

    blog.sql("DELETE FROM comments WHERE id = (SELECT max(id) FROM comments)")
    assert blog.findings() == {("lost", "database"), ("lost", "proxy")}

    blog.sql("UPDATE payments SET amount = amount + 1 WHERE status = 'succeeded'")
    assert {("wrong", "database"), ("wrong", "proxy")} <= blog.findings()

    blog.sql(
        "INSERT INTO posts (author_id, title, body, created_at, updated_at)"
        " SELECT author_id, title, body, created_at, updated_at FROM posts LIMIT 1"
    )
    assert {("duplicated", "database"), ("duplicated", "proxy")} <= blog.findings()

    sorted((blog.folder / "mail").glob("*.eml"))[0].unlink()
    assert ("lost", "mail") in blog.findings()

    order = {"amount": 500, "currency": "eur", "confirm": "true", "payment_method": "pm_card_visa"}
    requests.post(
        f"{blog.environ['STRIPE_API_BASE']}/v1/payment_intents",
        data={**order, "payment_method_types[]": "card", "metadata[payment_id]": "1"},
        headers={"Authorization": f"Bearer {blog.environ['STRIPE_API_KEY']}"},
        timeout=10,
    ).raise_for_status()
    assert ("duplicated", "stripe") in blog.findings()

    s3 = boto3.client(
        "s3",
        endpoint_url=blog.environ["S3_ENDPOINT_URL"],
        aws_access_key_id="x",
        aws_secret_access_key="x",
        region_name="us-east-1",
    )
    bucket = blog.environ["S3_BUCKET"]
    one, two, *_ = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    s3.delete_object(Bucket=bucket, Key=one)
    s3.put_object(Bucket=bucket, Key=two, Body=take("moon.png", 300).content)
    s3.put_object(Bucket=bucket, Key="strange.jpg", Body=b"")
    s3.close()
    found = blog.findings()
    wanted = {(kind, "bucket") for kind in ("lost", "wrong", "unexpected")}
    assert wanted | {("lost", "proxy"), ("wrong", "proxy")} <= found
