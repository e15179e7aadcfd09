"""The languages that mails are written in, and which of them a client would rather read."""

from __future__ import annotations

from flask import Request

LANGUAGES = ("en", "ko")


def language(request: Request) -> str:
    """The language that the client would rather read, of those that mails are written in.

    By the first part of each tag, most wanted first: `ko-KR` asks for `ko` (RFC 4647, 3.4).
    """
    accepted = request.accept_languages
    # A quality of 0 says: not this one (RFC 9110, 12.4.2).
    wanted = (tag.partition("-")[0].lower() for tag, quality in accepted if quality > 0)
    return next((each for each in wanted if each in LANGUAGES), LANGUAGES[0])
