"""The service's routes: they translate between HTTP and `service`."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from extracted.chassis.clock import Clock, rfc3339
from extracted.chassis.database import MAX_ID
from extracted.chassis.errors import Refusal, answer, not_found
from extracted.chassis.inputs import page, query_numbers, row_id
from extracted.chassis.tokens import bearer
from extracted.posts import sent, service
from extracted.posts.callers import Callers
from extracted.posts.images import Images
from extracted.posts.model import Comment, Post
from extracted.posts.service import Repository


def blueprint(repository: Repository, callers: Callers, images: Images, clock: Clock) -> Blueprint:
    """Build the routes over these parts."""
    routes = Blueprint("posts", __name__)

    @routes.get("/posts")
    def index() -> Response:
        window = page(request.args)
        posts, total = repository.newest(window.offset, window.size)
        shown = [_post(post) for post in posts]
        return jsonify(posts=shown, page=window.number, per_page=window.size, total=total)

    @routes.post("/posts")
    def create() -> tuple[Response, int]:
        writer = callers.require(request)
        title, body, image = sent.new_post(request)
        # The picture first: without it there is no post. If this process dies between the two, a
        # picture is left that no post shows.
        url = None if image is None else images.store(image, bearer(request))
        return jsonify(_post(service.publish(repository, clock, writer, title, body, url))), 201

    @routes.get("/posts/<int:post_id>")
    def show(post_id: int) -> Response:
        return jsonify(_post(service.find(repository, row_id(post_id, "post"))))

    @routes.patch("/posts/<int:post_id>")
    def change(post_id: int) -> Response:
        writer = callers.require(request)
        post = service.own(repository, row_id(post_id, "post"), writer.id)
        return jsonify(_post(service.change(repository, clock, post, sent.changes(request))))

    @routes.delete("/posts/<int:post_id>")
    def delete(post_id: int) -> tuple[str, int]:
        writer = callers.require(request)
        post = service.own(repository, row_id(post_id, "post"), writer.id)
        repository.remove(post.id)
        return "", 204

    @routes.get("/comments")
    def comments() -> Response:
        post_id = query_numbers(request.args, {"post": (None, 1, MAX_ID)})["post"]
        window = page(request.args, default_size=100, most=500)
        found, total = repository.comments(post_id, window.offset, window.size)
        shown = [_comment(comment) for comment in found]
        return jsonify(comments=shown, page=window.number, per_page=window.size, total=total)

    @routes.post("/comments")
    def comment() -> tuple[Response, int]:
        writer = callers.require(request)
        post_id, body = sent.new_comment(request)
        written = service.comment(repository, clock, writer, post_id, body)
        return jsonify(_comment(written)), 201

    @routes.errorhandler(service.NoSuchPostError)
    def missing(_error: service.NoSuchPostError) -> Response:
        return answer(not_found("post"))

    @routes.errorhandler(service.NotTheAuthorError)
    def forbidden(_error: service.NotTheAuthorError) -> Response:
        return answer(Refusal(403, "forbidden", "Only its author can change this post."))

    return routes


def _post(post: Post) -> dict[str, object]:
    return {
        "id": post.id,
        "title": post.title,
        "body": post.body,
        "author": {"id": post.author_id, "name": post.author_name},
        "image_url": post.image_url,
        "created_at": rfc3339(post.created_at),
        "updated_at": rfc3339(post.updated_at),
    }


def _comment(comment: Comment) -> dict[str, object]:
    return {
        "id": comment.id,
        "post_id": comment.post_id,
        "body": comment.body,
        "author": {"id": comment.author_id, "name": comment.author_name},
        "created_at": rfc3339(comment.created_at),
    }
