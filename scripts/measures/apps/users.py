"""A service that tells of one user, by the function that is also called without it."""

from flask import Flask, Response, jsonify, request


def user(number: int) -> dict[str, object]:
    """The user of this number."""
    return {"id": number, "name": "Ann"}


def create_app() -> Flask:
    """Build it."""
    app = Flask(__name__, static_folder=None)

    @app.route("/users/<int:number>", methods=["GET", "POST"])
    def show(number: int) -> Response:
        request.get_data()  # an unread body would cost the connection
        return jsonify(user(number))

    return app
