"""The routes of posts and comments: they translate between HTTP and `listing`."""

from __future__ import annotations

from flask import Blueprint, Request, Response, jsonify, request

from monolith.auth.tokens import Caller, Tokens
from monolith.clock import Clock, rfc3339
from monolith.db import MAX_ID, Database
from monolith.images.upload import has_image, sent_image
from monolith.inputs import Fields, json_fields, page, query_numbers, row_id
from monolith.mail import messages
from monolith.mail.mailer import Mailer
from monolith.models import Comment, Post
from monolith.posts import listing
from monolith.seams.image import ImagePort

TITLE_CHARACTERS = 200
BODY_CHARACTERS = 100_000
COMMENT_CHARACTERS = 10_000


def blueprint(
    database: Database, tokens: Tokens, images: ImagePort, mailer: Mailer, clock: Clock
) -> Blueprint:
    """Build the routes over these parts."""
    routes = Blueprint("posts", __name__)

    @routes.get("/posts")
    def index() -> Response:
        window = page(request.args)
        posts, total = listing.newest(database.session(), window)
        shown = [_post(post) for post in posts]
        return jsonify(posts=shown, page=window.number, per_page=window.size, total=total)

    @routes.post("/posts")
    def create() -> tuple[Response, int]:
        caller = tokens.require(request)
        title, body, image = _new_post(request)
        url = _stored(images, image, caller)
        post = listing.write(
            database.session(),
            clock,
            author_id=caller.user_id,
            title=title,
            body=body,
            image_url=url,
        )
        mailer.send(lambda: messages.post_created(post))
        return jsonify(_post(post)), 201

    @routes.get("/posts/<int:post_id>")
    def show(post_id: int) -> Response:
        return jsonify(_post(listing.find(database.session(), row_id(post_id, "post"))))

    @routes.patch("/posts/<int:post_id>")
    def change(post_id: int) -> Response:
        caller = tokens.require(request)
        post = listing.own(database.session(), row_id(post_id, "post"), caller.user_id)
        return jsonify(_post(listing.change(database.session(), clock, post, _changes(request))))

    @routes.delete("/posts/<int:post_id>")
    def delete(post_id: int) -> tuple[str, int]:
        caller = tokens.require(request)
        post = listing.own(database.session(), row_id(post_id, "post"), caller.user_id)
        listing.delete(database.session(), post)
        return "", 204

    @routes.get("/comments")
    def comments() -> Response:
        post_id = query_numbers(request.args, {"post": (None, 1, MAX_ID)})["post"]
        window = page(request.args, default_size=100, most=500)
        found, total = listing.comments(database.session(), post_id, window)
        shown = [_comment(comment) for comment in found]
        return jsonify(comments=shown, page=window.number, per_page=window.size, total=total)

    @routes.post("/comments")
    def comment() -> tuple[Response, int]:
        caller = tokens.require(request)
        fields = json_fields(request)
        post_id = fields.whole("post_id", least=1, most=MAX_ID)
        body = fields.text("body", most=COMMENT_CHARACTERS)
        fields.check()
        written = listing.comment(
            database.session(), clock, post_id=post_id, author_id=caller.user_id, body=body
        )
        return jsonify(_comment(written)), 201

    return routes


def _new_post(request: Request) -> tuple[str, str, bytes | None]:
    """Title, body and, in a multipart form, the image's bytes."""
    form = request.mimetype == "multipart/form-data"
    fields = Fields(request.form) if form else json_fields(request)
    title = fields.text("title", most=TITLE_CHARACTERS, strip=True)
    body = fields.text("body", most=BODY_CHARACTERS)
    fields.check()
    return title, body, sent_image(request) if form and has_image(request) else None


def _stored(images: ImagePort, image: bytes | None, caller: Caller) -> str | None:
    return None if image is None else images.process_and_store(image, caller.token).url


def _changes(request: Request) -> dict[str, str]:
    fields = json_fields(request)
    changes = {}
    if "title" in fields.values:
        changes["title"] = fields.text("title", most=TITLE_CHARACTERS, strip=True)
    if "body" in fields.values:
        changes["body"] = fields.text("body", most=BODY_CHARACTERS)
    if not changes:
        fields.wrong("title", "or body is required")
    fields.check()
    return changes


def _author(row: Post | Comment) -> dict[str, object]:
    return {"id": row.author.id, "name": row.author.name}


def _post(post: Post) -> dict[str, object]:
    return {
        "id": post.id,
        "title": post.title,
        "body": post.body,
        "author": _author(post),
        "image_url": post.image_url,
        "created_at": rfc3339(post.created_at),
        "updated_at": rfc3339(post.updated_at),
    }


def _comment(comment: Comment) -> dict[str, object]:
    return {
        "id": comment.id,
        "post_id": comment.post_id,
        "body": comment.body,
        "author": _author(comment),
        "created_at": rfc3339(comment.created_at),
    }
