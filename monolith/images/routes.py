"""The routes of pictures: upload one, and serve one from the bucket."""

from __future__ import annotations

import re

from flask import Blueprint, Response, jsonify, request

from monolith.auth.tokens import Tokens
from monolith.errors import not_found
from monolith.images.storage import Bucket, Found
from monolith.images.upload import sent_image
from monolith.seams.image import ImagePort

NAME = re.compile(r"[0-9a-f]{32}\.jpg")


def blueprint(tokens: Tokens, images: ImagePort, bucket: Bucket) -> Blueprint:
    """Build the routes over these parts."""
    routes = Blueprint("images", __name__)

    @routes.post("/upload")
    def upload() -> tuple[Response, int]:
        caller = tokens.require(request)
        stored = images.process_and_store(sent_image(request), caller.token)
        return jsonify(
            name=stored.name, url=stored.url, width=stored.width, height=stored.height
        ), 201

    @routes.get("/images/<name>")
    def show(name: str) -> Response:
        if not NAME.fullmatch(name):
            raise not_found("image")
        # Whoever has the picture already, or asks only about it, costs S3 no body.
        bodiless = request.method == "HEAD" or request.if_none_match
        found = bucket.head(name) if bodiless else bucket.get(name)
        if found is not None and bodiless and request.method == "GET" and _changed(found):
            found = bucket.get(name)
        if found is None:
            raise not_found("image")
        response = Response(found.chunks, content_type="image/jpeg")
        response.call_on_close(found.close)
        response.content_length = found.size
        response.headers["ETag"] = found.etag
        # A name is given once, to one picture: what is at it never changes.
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.make_conditional(request)
        return response

    return routes


def _changed(found: Found) -> bool:
    return not request.if_none_match.contains_weak(found.etag.strip('"'))
