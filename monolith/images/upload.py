"""The image that a multipart form brings."""

from __future__ import annotations

from flask import Request

from monolith.inputs import invalid


def sent_image(request: Request) -> bytes:
    """The bytes of the form's file `image`. Raises ApiError 400 when there is no such file."""
    sent = request.files.get("image")
    if sent is None or not sent.filename:
        message = "is required, as a file in a multipart/form-data body"
        raise invalid([{"field": "image", "message": message}])
    data: bytes = sent.read()
    return data


def has_image(request: Request) -> bool:
    """Whether the form has something in `image`; a browser sends an empty part for no choice."""
    sent = request.files.get("image")
    return "image" in request.form or (sent is not None and bool(sent.filename))
