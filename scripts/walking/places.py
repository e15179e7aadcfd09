"""Reads what each place really has: the blog through the proxy, database, bucket, Stripe, mail.

Reads only, and by other ways than the blog does: plain SQL, the bucket's listing, files.
"""

import email
import email.policy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests
from sqlalchemy import create_engine, text

from extracted.chassis.database import database_url
from scripts.walking.audit import Charge, Letter
from scripts.walking.client import TIMEOUT_S, Client
from scripts.walking.journal import Facts, Journal
from scripts.walking.photographs import problem_with

Rows = Sequence[Facts]
PER_PAGE = 100
TABLES = {
    "user": "SELECT id, email, name FROM users",
    "post": "SELECT id, title, body, author_id, image_url FROM posts",
    "comment": "SELECT id, post_id, body, author_id FROM comments",
    "payment": "SELECT id, idempotency_key, user_id, amount, currency, status, stripe_id"
    " FROM payments",
}


@dataclass(frozen=True, slots=True)
class Holdings:
    """A place's rows by kind, each with its id and as many facts as the place shows."""

    place: str
    rows: Mapping[str, Rows]


def in_a_database(place: str, url: str, kinds: Iterable[str] = TABLES) -> Holdings:
    """Read the tables of these kinds."""
    engine = create_engine(database_url(url))
    try:
        with engine.connect() as connection:
            rows: dict[str, Rows] = {
                kind: [dict(row) for row in connection.execute(text(TABLES[kind])).mappings()]
                for kind in kinds
            }
    finally:
        engine.dispose()
    return Holdings(place, rows)


def through_the_proxy(client: Client, journal: Journal, tokens: Iterable[str]) -> Holdings:
    """Ask the blog for everything, as its clients would; `tokens` are those of its payers."""
    posts = list(_posts(client))
    wanted = [post["id"] for post in posts]
    rows: dict[str, Rows] = {
        "post": posts,
        "comment": [each for post_id in wanted for each in _comments(client, post_id)],
        "user": [_user(client, row.id) for row in journal.rows("user") if row.id is not None],
        "payment": [payment for token in tokens for payment in _payments(client, token)],
        "image": [_picture(client, journal, row.id) for row in journal.rows("image") if row.id],
    }
    there = {kind: [row for row in found if row] for kind, found in rows.items()}
    return Holdings("proxy", there)


def _posts(client: Client) -> Iterator[dict[str, Any]]:
    number = 1
    while True:
        path = f"/posts?page={number}&per_page={PER_PAGE}"
        page = client.call("audit", "GET", path).json("posts")["posts"]
        for post in page:
            yield {**post, "author_id": post["author"]["id"]}
        if len(page) < PER_PAGE:
            return
        number += 1


def _comments(client: Client, post_id: int) -> Iterator[dict[str, Any]]:
    number = 1
    while True:
        path = f"/comments?post={post_id}&page={number}&per_page={PER_PAGE}"
        page = client.call("audit", "GET", path).json("comments")["comments"]
        for comment in page:
            yield {**comment, "author_id": comment["author"]["id"]}
        if len(page) < PER_PAGE:
            return
        number += 1


def _user(client: Client, user_id: int) -> dict[str, Any]:
    answer = client.call("audit", "GET", f"/users/{user_id}", status=(200, 404))
    return answer.json("id", "name") if answer.status == 200 else {}


def _payments(client: Client, token: str) -> Iterator[dict[str, Any]]:
    number = 1
    while True:
        path = f"/payments?page={number}&per_page={PER_PAGE}"
        headers = {"Authorization": f"Bearer {token}"}
        page = client.call("audit", "GET", path, headers=headers).json("payments")["payments"]
        yield from page
        if len(page) < PER_PAGE:
            return
        number += 1


def _picture(client: Client, journal: Journal, name: str) -> dict[str, Any]:
    answer = client.call("audit", "GET", f"/images/{name}", status=(200, 404))
    return _judged(journal, name, answer.content) if answer.status == 200 else {}


def in_the_bucket(environ: Mapping[str, str], journal: Journal) -> Holdings:
    """Read every object, and see whether it is the picture that was promised."""
    s3: Any = boto3.client(
        "s3",
        endpoint_url=environ["S3_ENDPOINT_URL"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        region_name=environ["AWS_DEFAULT_REGION"],
    )
    bucket = environ["S3_BUCKET"]
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        names = [each["Key"] for page in pages for each in page.get("Contents", ())]
        held: Rows = [
            _judged(journal, name, s3.get_object(Bucket=bucket, Key=name)["Body"].read())
            for name in names
        ]
    finally:
        s3.close()
    return Holdings("bucket", {"image": held})


def _judged(journal: Journal, name: str, content: bytes) -> dict[str, Any]:
    row = journal.find("image", name)
    facts = row.changes[0].facts if row is not None else None
    problem = problem_with(content, facts["size"], facts["look"]) if facts else None
    return {"id": name, "problem": problem}


def charges_made(environ: Mapping[str, str]) -> list[Charge]:
    """Ask the card company for every charge that it has made."""
    address = f"{environ['STRIPE_API_BASE']}/v1/charges"
    headers = {"Authorization": f"Bearer {environ['STRIPE_API_KEY']}"}
    found: list[Charge] = []
    after: str | None = None
    with requests.Session() as session:
        while True:
            params = {"limit": "100", **({"starting_after": after} if after else {})}
            answer = session.get(address, params=params, headers=headers, timeout=TIMEOUT_S)
            answer.raise_for_status()
            page = answer.json()
            found += [_charge(each) for each in page["data"]]
            if not page["has_more"]:
                return found
            after = page["data"][-1]["id"]


def _charge(told: Mapping[str, Any]) -> Charge:
    return Charge(
        told["payment_intent"],
        told["amount"],
        told["currency"],
        told["paid"],
        told["metadata"].get("payment_id", ""),
    )


def letters_delivered(folder: Path) -> list[Letter]:
    """Read every message that the mail server has acknowledged."""
    return [_letter(path.read_bytes()) for path in sorted(folder.glob("*.eml"))]


def _letter(content: bytes) -> Letter:
    message = email.message_from_bytes(content, policy=email.policy.default)
    body = message.get_body(("plain",))
    told = "" if body is None else " ".join(str(body.get_content()).split())
    to, subject = str(message["X-Envelope-To"]), str(message["Subject"])
    return Letter(to, subject, told, str(message["Message-ID"] or ""))
