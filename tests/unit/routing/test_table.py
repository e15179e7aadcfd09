"""The table matches as a Flask application with the same rules does, whatever path is asked for."""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.test import EnvironBuilder

from strangler_proxy.config import ConfigError, parse
from strangler_proxy.routing import RouteTable

SEGMENTS = st.sampled_from(
    [
        *(
            "posts",
            "users",
            "a",
            "a.b",
            "caf\u00e9",
            "<name>",
            "<int:id>",
            "<string(length=2):code>",
        ),
        *("<path:rest>", "<float:x>", "<uuid:u>", "<any(a,posts):kind>", "p-<int:id>", "<a>.<b>"),
        *(
            "<int(min=3):big>",
            "<int(max=x):odd>",
            "<float(signed=True):y>",
            "<string(minlength=2):long>",
        ),
    ]
)
RULES = st.tuples(st.lists(SEGMENTS, min_size=0, max_size=3), st.booleans()).map(
    lambda drawn: "/" + "/".join(drawn[0]) + ("/" if drawn[1] and drawn[0] else "")
)
METHODS = st.sampled_from(["GET", "POST", "GET,POST", "PATCH,DELETE", "HEAD", "OPTIONS", "*"])
PARTS = st.sampled_from(
    [
        *(
            "posts",
            "users",
            "a",
            "a.b",
            "caf%C3%A9",
            "7",
            "007",
            "2",
            "-1",
            "1.5",
            "ab",
            "p-3",
            "%61",
        ),
        *(
            "",
            ".",
            "..",
            "%2F",
            "a%2Fb",
            "%25",
            "%",
            "%zz",
            "%E9",
            "%00",
            "+",
            "a;b",
            "~",
            "posts%20",
        ),
        "12345678-1234-5678-1234-567812345678",
        "9" * 5000,
        "%F0%9F%98%80",
    ]
)
PATHS = st.tuples(st.lists(PARTS, max_size=4), st.booleans(), st.booleans()).map(
    lambda drawn: "/" * (1 + drawn[1]) + "/".join(drawn[0]) + ("/" if drawn[2] else "")
)
ASKED = st.sampled_from(["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PURGE", "get"])


def table(rules: list[tuple[str, str]]) -> RouteTable | None:
    """The proxy's table; None when the file would be refused."""
    routes = "".join(
        f"  - {{name: r{n}, match: '{methods} {rule}', control: m}}\n"
        for n, (methods, rule) in enumerate(rules)
    )
    text = "upstreams: {m: {url: 'http://h:1'}}\ndefault: m\nroutes:\n" + routes
    try:
        return RouteTable(parse(text))
    except ConfigError:
        return None


def application(rules: list[tuple[str, str]]) -> Flask:
    app = Flask("monolith", static_folder=None)
    every = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "get"]
    for n, (methods, rule) in enumerate(rules):
        app.add_url_rule(
            rule,
            endpoint=f"r{n}",
            view_func=lambda **_: "",
            methods=every if methods == "*" else methods.split(","),
            provide_automatic_options=False,
        )
    return app


def endpoint(app: Flask, method: str, path: str) -> str | None:
    """Which endpoint runs, redirects to slashes followed; None when the application has none."""
    for _ in range(5):
        environ = EnvironBuilder(method=method).get_environ()
        # As gunicorn does: percent-escapes decoded once, bytes as Latin-1.
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
        try:
            return app.create_url_adapter(app.request_class(environ)).match()[0]  # type: ignore[union-attr]
        except RequestRedirect as redirect:
            path = redirect.new_url.partition("://")[2].partition("/")[2]
            path = "/" + path.partition("?")[0]
        except (HTTPException, ValueError, TypeError):
            return None
    return None


@settings(
    max_examples=400,
    deadline=None,
    database=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(
    rules=st.lists(st.tuples(METHODS, RULES), min_size=1, max_size=5, unique_by=lambda r: r[1]),
    asked=st.lists(st.tuples(ASKED, PATHS), min_size=1, max_size=12),
)
def test_table_matches_exactly_as_flask_does(
    rules: list[tuple[str, str]], asked: list[tuple[str, str]]
) -> None:
    routes = table(rules)
    if routes is None:
        return
    app = application(rules)
    for method, path in asked:
        entry = routes.match(method.encode(), path.encode())
        expected = endpoint(app, method, path)
        assert entry.name == (expected or "(default)"), (rules, method, path)


BLOG = [("GET", "/posts"), ("POST", "/posts"), ("GET", "/posts/<int:id>"), ("*", "/tree/")]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/posts", "r0"),
        ("HEAD", "/posts", "r0"),
        ("POST", "/posts", "r1"),
        ("DELETE", "/posts", "(default)"),
        ("OPTIONS", "/posts", "(default)"),
        ("GET", "/posts/", "(default)"),
        ("GET", "//posts", "r0"),
        ("GET", "/posts/7", "r2"),
        ("GET", "/posts/%37", "r2"),
        ("GET", "/posts/x", "(default)"),
        ("GET", "/tree", "r3"),
        ("PURGE", "//tree", "r3"),
        ("GET", "*", "(default)"),
        ("GET", "/posts/" + "7" * 6000, "(default)"),
    ],
)
def test_paths_lead_where_the_monolith_would_take_them(method: str, path: str, name: str) -> None:
    routes = table(BLOG)
    assert routes is not None
    for _ in range(2):  # the second time from the cache
        assert routes.match(method.encode(), path.encode()).name == name


def test_pattern_that_cannot_be_compiled_leads_to_the_default() -> None:
    config = parse(
        "upstreams: {old: {url: 'http://127.0.0.1:1'}}\ndefault: old\n"
        "routes: [{name: a, match: /x/<y>, control: old}]\n"
    )
    [route] = config.routes
    for bounds in ("minlength=5,maxlength=2", "maxlength=99999999999999"):
        unchecked = route.model_copy(update={"match": f"/x/<string({bounds}):y>"})
        table = RouteTable(config.model_copy(update={"routes": (unchecked,)}))
        assert table.match(b"GET", b"/x/abc").name == "(default)"
