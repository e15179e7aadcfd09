"""The service's routes: they translate between HTTP, `service` and the storage."""

from __future__ import annotations

import re

from flask import Blueprint, Response, jsonify, request

from extracted.chassis.errors import Refusal, answer
from extracted.chassis.places import NoPlaceError, Places
from extracted.chassis.tokens import TokenVerifier
from extracted.image import service
from extracted.image.storage import Facts, Storage, StorageError

NAME = re.compile(r"[0-9a-f]{32}\.jpg")
STATUS = {
    service.EMPTY: 400,
    service.TOO_LARGE: 413,
    service.TOO_MANY_PIXELS: 413,
    service.UNSUPPORTED: 415,
    service.ANIMATED: 422,
    service.DAMAGED: 422,
}


def blueprint(
    tokens: TokenVerifier, storage: Storage, limits: service.Limits, places: Places
) -> Blueprint:
    """Build the routes over these parts."""
    routes = Blueprint("image", __name__)

    @routes.post("/upload")
    def upload() -> tuple[Response, int]:
        tokens.require(request)
        stored = service.accept(_sent_image(), limits, places, storage)
        url = f"/images/{stored.name}"
        return jsonify(name=stored.name, url=url, width=stored.width, height=stored.height), 201

    @routes.get("/images/<name>")
    def show(name: str) -> Response:
        if not NAME.fullmatch(name):
            raise _no_such_image()
        if request.method == "HEAD" or request.if_none_match:
            facts = storage.look(name)
            if facts is not None and (request.method == "HEAD" or _has(facts)):
                return _described(Response(), facts)
        reading = storage.open(name)
        if reading is None:
            raise _no_such_image()
        response = Response(reading.chunks)
        response.call_on_close(reading.close)
        return _described(response, reading.facts)

    @routes.errorhandler(service.BadPictureError)
    def bad(error: service.BadPictureError) -> Response:
        return answer(Refusal(STATUS[error.code], error.code, str(error)))

    @routes.errorhandler(NoPlaceError)
    def busy(_error: NoPlaceError) -> Response:
        message = "Too many images are being processed at the moment; try again later."
        return answer(Refusal(503, "images_busy", message, headers={"Retry-After": "2"}))

    @routes.errorhandler(StorageError)
    def unavailable(error: StorageError) -> Response:
        message = "Images cannot be stored or read at the moment; try again later."
        refusal = Refusal(503, "storage_unavailable", message)
        refusal.__cause__ = error  # what the log says; the client is told less
        return answer(refusal)

    return routes


def _sent_image() -> bytes:
    sent = request.files.get("image")
    if sent is None or not sent.filename:
        problem = {
            "field": "image",
            "message": "is required, as a file in a multipart/form-data body",
        }
        message = f"image {problem['message']}."
        raise Refusal(400, "invalid_input", message, fields=[problem])
    data: bytes = sent.read()
    return data


def _no_such_image() -> Refusal:
    return Refusal(404, "not_found", "There is no such image.")


def _has(facts: Facts) -> bool:
    return request.if_none_match.contains_weak(facts.etag.strip('"'))


def _described(response: Response, facts: Facts) -> Response:
    response.content_type = "image/jpeg"
    response.content_length = facts.size
    response.headers["ETag"] = facts.etag
    # A name is given once, to one picture: what is at it never changes.
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.make_conditional(request)
    return response
