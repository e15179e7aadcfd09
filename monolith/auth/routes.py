"""The routes of accounts: they translate between HTTP and `accounts`, and decide nothing."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from monolith.auth import accounts
from monolith.auth.passwords import MAX_BYTES, Passwords
from monolith.auth.tokens import Tokens, bearer
from monolith.clock import Clock, rfc3339
from monolith.db import Database
from monolith.errors import ApiError
from monolith.inputs import Fields, json_fields, row_id
from monolith.models import User

MIN_PASSWORD_CHARACTERS = 8


def blueprint(database: Database, passwords: Passwords, tokens: Tokens, clock: Clock) -> Blueprint:
    """Build the routes over these parts."""
    routes = Blueprint("auth", __name__)

    @routes.post("/register")
    def register() -> tuple[Response, int]:
        fields = json_fields(request)
        email, name = fields.email("email"), fields.text("name", most=100, strip=True)
        password = _new_password(fields)
        fields.check()
        user = accounts.register(
            database.session(), passwords, clock, email=email, password=password, name=name
        )
        return jsonify(
            id=user.id, email=user.email, name=user.name, created_at=rfc3339(user.created_at)
        ), 201

    @routes.post("/login")
    def login() -> Response:
        fields = json_fields(request)
        email = fields.text("email", most=254, strip=True).lower()
        password = fields.text("password", most=4096)
        fields.check()
        user = accounts.log_in(database.session(), passwords, email=email, password=password)
        token, expires = tokens.issue(user)
        return jsonify(
            token=token,
            expires_at=rfc3339(expires),
            user={"id": user.id, "email": user.email, "name": user.name},
        )

    @routes.post("/verify")
    def verify() -> Response:
        caller = tokens.caller(_sent_token())
        user = accounts.of_token(database.session(), caller.user_id)
        return jsonify(valid=True, user_id=user.id, email=user.email, name=user.name)

    @routes.get("/users/<int:user_id>")
    def show(user_id: int) -> Response:
        return jsonify(_public(accounts.find(database.session(), row_id(user_id, "user"))))

    @routes.patch("/users/<int:user_id>")
    def rename(user_id: int) -> Response:
        if tokens.require(request).user_id != user_id:
            raise ApiError(403, "forbidden", "Only the user's own account can be changed.")
        fields = json_fields(request)
        name = fields.text("name", most=100, strip=True)
        fields.check()
        return jsonify(_public(accounts.rename(database.session(), user_id, name)))

    return routes


def _public(user: User) -> dict[str, object]:
    return {"id": user.id, "name": user.name, "created_at": rfc3339(user.created_at)}


def _new_password(fields: Fields) -> str:
    password = fields.text("password", least=MIN_PASSWORD_CHARACTERS, most=1000)
    size = len(password.encode())
    if size > MAX_BYTES:
        fields.wrong("password", f"must have at most {MAX_BYTES} bytes in UTF-8; it has {size}")
    return password


def _sent_token() -> str:
    """The token of /verify: in the JSON body, or in the Authorization header."""
    if not request.is_json:
        return bearer(request)
    fields = json_fields(request)
    if "token" not in fields.values and "Authorization" in request.headers:
        return bearer(request)
    token = fields.text("token", most=8192)
    fields.check()
    return token
