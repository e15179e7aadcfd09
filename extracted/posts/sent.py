"""What clients send to posts and comments, checked as the monolith checks it."""

from __future__ import annotations

from flask import Request

from extracted.chassis.database import MAX_ID
from extracted.chassis.inputs import Fields, invalid, json_fields

TITLE_CHARACTERS = 200
BODY_CHARACTERS = 100_000
COMMENT_CHARACTERS = 10_000


def new_post(request: Request) -> tuple[str, str, bytes | None]:
    """Title, body and, in a multipart form, the image's bytes. Raises Refusal."""
    form = request.mimetype == "multipart/form-data"
    fields = Fields(request.form) if form else json_fields(request)
    title = fields.text("title", most=TITLE_CHARACTERS, strip=True)
    body = fields.text("body", most=BODY_CHARACTERS)
    fields.check()
    return title, body, _image(request) if form else None


def _image(request: Request) -> bytes | None:
    """The form's file; none when there is no part, or a browser's empty one for no choice."""
    sent = request.files.get("image")
    if sent is not None and sent.filename:
        data: bytes = sent.read()
        return data
    if "image" not in request.form:
        return None
    message = "is required, as a file in a multipart/form-data body"
    raise invalid([{"field": "image", "message": message}])


def changes(request: Request) -> dict[str, str]:
    """The title, the body or both that a post is to have. Raises Refusal."""
    fields = json_fields(request)
    found = {}
    if "title" in fields.values:
        found["title"] = fields.text("title", most=TITLE_CHARACTERS, strip=True)
    if "body" in fields.values:
        found["body"] = fields.text("body", most=BODY_CHARACTERS)
    if not found:
        fields.wrong("title", "or body is required")
    fields.check()
    return found


def new_comment(request: Request) -> tuple[int, str]:
    """The post's id and the comment's text. Raises Refusal."""
    fields = json_fields(request)
    post_id = fields.whole("post_id", least=1, most=MAX_ID)
    body = fields.text("body", most=COMMENT_CHARACTERS)
    fields.check()
    return post_id, body
