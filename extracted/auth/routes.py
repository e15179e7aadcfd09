"""The service's routes: they translate between HTTP and `service`, and decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, jsonify, request

from extracted.auth import service
from extracted.auth.clients import Network, client_address
from extracted.auth.issuing import Issuer
from extracted.auth.passwords import MAX_BYTES
from extracted.auth.service import LoginLimit, PasswordHashes, RegisterLimit, User, Users
from extracted.chassis.clock import Clock, rfc3339
from extracted.chassis.errors import Refusal, answer, not_found
from extracted.chassis.inputs import Fields, json_fields, row_id
from extracted.chassis.tokens import INVALID, TokenVerifier, bearer, unauthorized

MIN_PASSWORD_CHARACTERS = 8
JWKS_MAX_AGE_S = 60


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes stand on; `trusted` are the proxies that tell who the client is."""

    users: Users
    passwords: PasswordHashes
    logins: LoginLimit
    registrations: RegisterLimit
    issuer: Issuer
    tokens: TokenVerifier
    trusted: Sequence[Network]
    clock: Clock


def blueprint(parts: Parts) -> Blueprint:
    """Build the routes over these parts."""
    routes = Blueprint("auth", __name__)
    users, passwords = parts.users, parts.passwords

    @routes.post("/register")
    def register() -> tuple[Response, int]:
        fields = json_fields(request)
        email, name = fields.email("email"), fields.text("name", most=100, strip=True)
        password = _new_password(fields)
        fields.check()
        user = service.register(
            users,
            passwords,
            parts.registrations,
            parts.clock,
            email=email,
            password=password,
            name=name,
            client=_client(parts.trusted),
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
        client, began = _client(parts.trusted), parts.clock()
        user = service.log_in(
            users, passwords, parts.logins, email=email, password=password, client=client
        )
        token, expires = parts.issuer.issue(user, began)
        return jsonify(
            token=token,
            expires_at=rfc3339(expires),
            user={"id": user.id, "email": user.email, "name": user.name},
        )

    @routes.post("/verify")
    def verify() -> Response:
        caller = parts.tokens.caller(_sent_token())
        user = users.by_id(caller.user_id)
        if user is None:
            raise unauthorized(INVALID)
        return jsonify(valid=True, user_id=user.id, email=user.email, name=user.name)

    @routes.get("/users/<int:user_id>")
    def show(user_id: int) -> Response:
        return jsonify(_public(service.find(users, row_id(user_id, "user"))))

    @routes.patch("/users/<int:user_id>")
    def rename(user_id: int) -> Response:
        if parts.tokens.require(request).user_id != user_id:
            raise Refusal(403, "forbidden", "Only the user's own account can be changed.")
        fields = json_fields(request)
        name = fields.text("name", most=100, strip=True)
        fields.check()
        return jsonify(_public(service.rename(users, user_id, name)))

    @routes.get("/.well-known/jwks.json")
    def jwks() -> Response:
        response = jsonify(parts.issuer.jwks())
        response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE_S}"
        return response

    _refusals(routes)
    return routes


def _refusals(routes: Blueprint) -> None:
    @routes.errorhandler(service.EmailTakenError)
    def taken(_error: service.EmailTakenError) -> Response:
        return answer(Refusal(409, "email_taken", "There is an account with this address."))

    @routes.errorhandler(service.BadCredentialsError)
    def bad(_error: service.BadCredentialsError) -> Response:
        message = "The address or the password is wrong."
        return answer(Refusal(401, "bad_credentials", message))

    @routes.errorhandler(service.NoSuchUserError)
    def missing(_error: service.NoSuchUserError) -> Response:
        return answer(not_found("user"))

    @routes.errorhandler(service.TooManyLoginsError)
    def too_many_logins(error: service.TooManyLoginsError) -> Response:
        return answer(_too_many("logins", "log in", error))

    @routes.errorhandler(service.TooManyRegistrationsError)
    def too_many_registrations(error: service.TooManyRegistrationsError) -> Response:
        return answer(_too_many("registrations", "register", error))


def _too_many(what: str, to_do: str, error: service.TooManyTriesError) -> Refusal:
    message = f"Too many tries to {to_do}; try again in {error.retry_after_s} seconds."
    headers = {"Retry-After": str(error.retry_after_s)}
    return Refusal(429, f"too_many_{what}", message, headers=headers)


def _client(trusted: Sequence[Network]) -> str:
    forwarded = request.headers.get("X-Forwarded-For", "")
    return client_address(request.remote_addr or "", forwarded, trusted)


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
