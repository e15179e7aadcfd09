"""The blog for tests: its settings, applications on real sockets, and photographs to send."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import jwt
from flask import Flask
from PIL import Image
from werkzeug.serving import WSGIRequestHandler, make_server

from monolith.clock import utc_now
from monolith.settings import Settings

SECRET = secrets.token_hex(32)
DAY_S = 86400  # tests make tokens when they are collected, and use them when their turn comes
NOWHERE = "127.0.0.1:9"  # the discard port: nothing listens there
PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "logo.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)


def photograph(name: str) -> bytes:
    """A picture that ships inside scikit-image."""
    return files("skimage").joinpath("data", name).read_bytes()


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file of this kind."""
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    """The image that a file holds, decoded."""
    with Image.open(BytesIO(data)) as image:
        image.load()
        return image.copy()


def large_photograph(width: int, height: int) -> bytes:
    """A JPEG of a real photograph, enlarged as a camera would have taken it."""
    image = decoded(photograph("rocket.jpg")).resize((width, height), Image.Resampling.BICUBIC)
    return encoded(image, "JPEG", quality=92)


def settings(database_url: str, **more: Any) -> Settings:
    """Settings for a blog that talks to nobody, apart from what `more` says."""
    values = {
        "database_url": database_url,
        "jwt_secret": SECRET,
        "s3_bucket": "blog",
        "s3_endpoint_url": f"http://{NOWHERE}",
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "smtp_url": f"smtp://{NOWHERE}",
        "mail_from": "blog@example.org",
        "stripe_api_key": "sk_test_" + secrets.token_hex(8),
        "stripe_api_base": f"http://{NOWHERE}",
        "image_service_url": f"http://{NOWHERE}",
        "bcrypt_rounds": 4,
    }
    return Settings(**{**values, **more})


def token(user_id: int = 1, *, secret: str = SECRET, lives_s: int = DAY_S, **claims: Any) -> str:
    """A token as the blog makes them."""
    now = int(utc_now().timestamp())
    told = {"sub": str(user_id), "iat": now, "exp": now + lives_s, **claims}
    return jwt.encode(told, secret, algorithm="HS256")


def bearer(user_id: int = 1, **more: Any) -> dict[str, str]:
    """The Authorization header with such a token."""
    return {"Authorization": f"Bearer {token(user_id, **more)}"}


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: Any) -> None:
        pass


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The application on a real socket of this process; gives its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sqlite_url(folder: Path) -> str:
    """A database file of its own."""
    return f"sqlite:///{folder / 'blog.db'}"
