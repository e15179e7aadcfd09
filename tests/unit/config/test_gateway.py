"""What a gateway is told in the file: every key is read, every mistake is told with its line, and
what was read survives the way to the workers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from strangler_proxy.config import Canary, Config, ConfigError, edit_canary, load, parse

WHOLE = """\
listen: 127.0.0.1:8000
admin: 127.0.0.1:8001
audit: changes.jsonl
trusted_proxies: [10.0.0.0/8, "fd00::/8"]
force: {secret_env: SIDE_SECRET}
access_log:
  path: access.jsonl
  sample_percent: 12.5
  headers: [user-agent, x-team]
  redact: ["query:token", "header:authorization"]
tracing: {sample_percent: 1, otlp: "http://127.0.0.1:4318/v1/traces", service: edge}
consul: {url: "http://127.0.0.1:8500", token_env: CONSUL_TOKEN, datacenter: dc1}
limit_store:
  redis: redis://user@127.0.0.1:6379/1
  password_env: REDIS_PASSWORD
  timeout_s: 0.2
  retry_s: 3
  while_down: refuse
  entries: 2048
tokens:
  users:
    secret_env: JWT_SECRET
    jwks: https://issuer.test/jwks.json
    refresh_s: 60
    issuer: https://issuer.test/
    audience: blog
    leeway_s: 5
    claims: {role: X-Verified-Role}
upstreams:
  monolith: {url: "http://127.0.0.1:5000"}
  posts:
    urls: ["http://127.0.0.1:3002", "http://127.0.0.2:3002"]
    health: /health
    health_check: {every_s: 1, timeout_s: 0.5, fall: 3, rise: 4}
    eject: {failures: 3, for_s: 5, longest_s: 60}
    breaker: {failures: 3, open_s: 30, statuses: [500, 503]}
    canary: {percent: 5, sticky: "cookie:session"}
    connect_timeout_s: 1
    idle_s: 2
    reuse: always
    max_connections: 32
    queue: 0
    queue_timeout_s: 1
    retry_percent: 10
  image:
    consul: {service: image, tag: v2, scheme: https}
    breaker: {ratio: 0.5, least_requests: 10, window_s: 30}
    tls: {verify: false, server_name: image.internal}
  payment:
    dns: {url: "https://payment.internal:3004", every_s: 10}
default: monolith
default_timeout_s: 30
routes:
  - name: posts
    match: GET /posts/<int:post_id>
    control: monolith
    candidate: posts
    serve: canary
    when_open: control
    token: users
    rate_limit: 100/minute
    retry: {most: 3, statuses: [503], backoff_s: 0.1, longest_s: 2}
    timeout_s: 10
    idle_s: 5
    total_s: 20
  - name: upload
    match: POST /upload
    control: monolith
    candidate: image
    serve: {candidate_percent: 5, sticky: subject}
    token: {check: users, optional: true}
    rate_limit:
      - {limit: 5 per 10 seconds, by: subject}
      - {limit: 1000/day, by: route}
      - {limit: 9/hour, by: "header:x-key"}
  - name: whole
    match: GET /api/posts/<int:post_id>
    compose:
      pass_headers: [authorization]
      part_bytes: 1000
      parts:
        post: {get: "/posts/{post_id}"}
        author: {get: "/users/{post.author_id}", fallback: null, timeout_s: 2}
        comments: {get: "/comments?post={post_id}", pick: items.0, fallback: [{a: 1.5, b: [true]}]}
"""


def problems(text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    return [(p.line, p.where, p.message) for p in refused.value.problems]


def test_every_key_is_read() -> None:
    config = parse(WHOLE)
    posts, image, payment = (config.upstreams[name] for name in ("posts", "image", "payment"))
    assert [origin.address.host for origin in posts.origins] == ["127.0.0.1", "127.0.0.2"]
    assert (posts.health_check, posts.breaker) != (None, None)
    assert posts.eject.longest_s == 60
    assert posts.breaker is not None
    assert (posts.breaker.failures, posts.breaker.statuses) == (3, (500, 503))
    assert (image.tls_on, image.tls_name, image.origins) == (True, "image.internal", ())
    assert (payment.tls_on, payment.tls_name) == (True, "payment.internal")
    moving, upload, whole = config.routes
    assert config.serve_of(moving).candidate_percent == 5
    assert config.serve_of(moving).sticky == "cookie:session"
    limits = (*moving.rate_limit, *upload.rate_limit)
    assert [(one.amount, one.window_s, one.by) for one in limits] == [
        (100, 60, "client"),
        (5, 10, "subject"),
        (1000, 86_400, "route"),
        (9, 3600, "header:x-key"),
    ]  # fmt: skip
    assert moving.token is not None
    assert (moving.token.check, moving.token.optional) == ("users", False)
    assert whole.compose is not None
    assert whole.compose.needs == {"post": set(), "author": {"post"}, "comments": set()}
    assert [part.has_fallback for part in whole.compose.parts.values()] == [False, True, True]


def test_short_file_has_the_defaults_that_the_documentation_names() -> None:
    config = parse("upstreams: {m: {url: 'http://h', breaker: {}}}\ndefault: m\n")
    upstream = config.upstreams["m"]
    assert upstream.breaker is not None
    breaker = upstream.breaker
    assert (breaker.failures, breaker.open_s, breaker.ratio) == (5, 60, None)
    assert (upstream.max_connections, upstream.queue, upstream.canary.percent) == (256, 1024, 0)
    assert (config.force, config.access_log, config.tracing, config.tokens) == (
        None,
        None,
        None,
        {},
    )


def test_what_was_read_reaches_the_workers_unchanged() -> None:
    for text in (WHOLE, "upstreams: {m: {url: 'http://h'}}\ndefault: m\n"):
        config = parse(text)
        sent = json.loads(json.dumps(config.model_dump(mode="json", exclude_unset=True)))
        received = Config.model_validate(sent)
        assert received == config
        for ours, theirs in zip(config.routes, received.routes, strict=True):
            if ours.compose is not None and theirs.compose is not None:
                assert list(ours.compose.parts) == list(theirs.compose.parts)
                for name, part in ours.compose.parts.items():
                    assert theirs.compose.parts[name].has_fallback == part.has_fallback


# --- mistakes: (what stands in WHOLE, what stands there instead, where it is told, what is told)

MISTAKES = [
    ("secret_env: SIDE_SECRET", "secret_env: side-secret", "force.secret_env", "JWT_SECRET"),
    ("force: {secret_env: SIDE_SECRET}", "force: {}", "force.secret_env", "is missing"),
    ("sample_percent: 12.5", "sample_percent: 101", "access_log.sample_percent", "100"),
    ("x-team]", '"x team"]', "access_log.headers[1]", "header's name"),
    ('"query:token"', '"token"', "access_log.redact[0]", "query:<name>"),
    ("http://127.0.0.1:4318", "ftp://127.0.0.1:4318", "tracing.otlp", "URL"),
    ("datacenter: dc1", "datacentre: dc1", "consul.datacentre", "not a known key"),
    ("redis://user@", "redis://user:pass@", "limit_store.redis", "password"),
    ("redis://user@", "http://user@", "limit_store.redis", "redis://"),
    ("while_down: refuse", "while_down: maybe", "limit_store.while_down", "count|refuse"),
    ("entries: 2048", "entries: 3", "limit_store.entries", "1024"),
    ("jwks: https://issuer.test/jwks.json", "jwks: issuer", "tokens.users.jwks", "URL"),
    ("leeway_s: 5", "leeway_s: -1", "tokens.users.leeway_s", "0"),
    ("X-Verified-Role", "X-Role", "tokens.users.claims.role", "X-Verified-"),
    ("    claims: {", "    claim: {", "tokens.users.claim", "not a known key"),
    ('monolith: {url: "http://127.0.0.1:5000"}', "monolith: {}", "upstreams.monolith", "none of"),
    (
        'monolith: {url: "http://127.0.0.1:5000"}',
        'monolith: {url: "http://a", dns: {url: "http://b"}}',
        "upstreams.monolith",
        "url and dns",
    ),
    ("http://127.0.0.2:3002", "http://127.0.0.2:3002/x", "upstreams.posts.urls[1]", "path"),
    ("http://127.0.0.2:3002", "http://127.0.0.1:3002", "upstreams.posts", "twice"),
    ("http://127.0.0.2:3002", "https://127.0.0.2:3002", "upstreams.posts", "http or https"),
    ("    health: /health\n", "    health: health\n", "upstreams.posts.health", "pattern"),
    ("fall: 3", "fall: 0", "upstreams.posts.health_check.fall", "greater than 0"),
    ("longest_s: 60", "longest: 60", "upstreams.posts.eject.longest", "not a known key"),
    ("statuses: [500, 503]}", "statuses: [200]}", "upstreams.posts.breaker.statuses[0]", "400"),
    ("ratio: 0.5", "ratio: 50", "upstreams.image.breaker.ratio", "1"),
    ("canary: {percent: 5", "canary: {percent: 500", "upstreams.posts.canary.percent", "100"),
    ('"cookie:session"', "session", "upstreams.posts.canary.sticky", "cookie:<name>"),
    ("scheme: https", "scheme: ftp", "upstreams.image.consul.scheme", "http"),
    ("service: image,", 'service: "",', "upstreams.image.consul.service", "1 character"),
    ("https://payment.internal:3004", "payment.internal", "upstreams.payment.dns.url", "http://"),
    ("queue: 0", "queue: -1", "upstreams.posts.queue", "0"),
    ("retry_percent: 10", "retry_percent: 110", "upstreams.posts.retry_percent", "100"),
    ("serve: canary", "serve: canaries", "routes[posts].serve", "canary"),
    ("when_open: control", "when_open: wait", "routes[posts].when_open", "control"),
    ("token: users\n", "token: others\n", "routes[posts].token", "has: users"),
    ("check: users", "check: others", "routes[upload].token", "has: users"),
    ("100/minute", "often", "routes[posts].rate_limit[0].limit", "100/minute"),
    ("100/minute", "0/minute", "routes[posts].rate_limit[0].limit", "100/minute"),
    ("1000/day, by: route", "1000/day, by: routes", "routes[upload].rate_limit[1].by", "route"),
    ("most: 3", "most: 11", "routes[posts].retry.most", "10"),
    ("statuses: [503],", "statuses: [503, 99],", "routes[posts].retry.statuses[1]", "400"),
    ("total_s: 20", "total_s: 0", "routes[posts].total_s", "greater than 0"),
    ("{post_id}\"}\n        author", "{id}\"}\n        author", "routes[whole].compose", "post_id"),
    ('get: "/users/{post.author_id}"', 'get: "users/{post.author_id}"',
     "routes[whole].compose.parts.author.get", "path"),
    ("{post.author_id}", "{posts.author_id}", "routes[whole].compose", "no part 'posts'"),
    ('post: {get: "/posts/{post_id}"}', 'post: {get: "/posts/{author.id}"}',
     "routes[whole].compose", "wait for each other"),
    ("pick: items.0", 'pick: "items[0]"', "routes[whole].compose.parts.comments.pick", "dots"),
    ("part_bytes: 1000", "part_bytes: many", "routes[whole].compose.part_bytes", "integer"),
    ("fallback: null", "fallback: .nan", "routes[whole].compose.parts.author.fallback", "JSON"),
    ("match: GET /api", "match: POST /api", "routes[whole].match", "GET"),
    ("match: GET /api", "match: /api", "routes[whole].match", "GET"),
    ("    compose:\n", "    control: monolith\n    compose:\n", "routes[whole]", "by itself"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "told"), MISTAKES)
def test_each_mistake_is_told_with_its_place_and_what_to_do(
    old: str, new: str, where: str, told: str
) -> None:
    assert WHOLE.count(old) == 1, old
    text = WHOLE.replace(old, new)
    [(line, place, message)] = problems(text)
    assert place == where
    assert told in message
    assert line is not None
    *_, holder, key = ["", *re.findall(r"[A-Za-z_]+", where)]
    assert (holder if message == "is missing" else key) in text.splitlines()[line - 1]


def test_subject_needs_a_token() -> None:
    [(_, where, message)] = problems(
        WHOLE.replace("    token: {check: users, optional: true}\n", "")
    )
    assert (where, "add token" in message) == ("routes[upload]", True)


def test_when_open_and_canary_need_a_candidate() -> None:
    text = WHOLE.replace("    candidate: posts\n", "")
    [(_, where, message)] = problems(text)
    assert (where, "add candidate" in message) == ("routes[posts]", True)
    [(_, where, message)] = problems(text.replace("    serve: canary\n", ""))
    assert (where, "when_open" in message) == ("routes[posts]", True)


def test_token_check_needs_something_to_verify_by() -> None:
    text = WHOLE.replace("    secret_env: JWT_SECRET\n", "").replace(
        "    jwks: https://issuer.test/jwks.json\n", ""
    )
    [(_, where, message)] = problems(text)
    assert (where, "secret_env, jwks" in message) == ("tokens.users", True)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text, expected = WHOLE, set()
    for old, new, where, _ in MISTAKES:
        # What several values say together is looked at only when each of them is sound.
        together = where.startswith("routes[whole]") or where.endswith((".posts", ".monolith"))
        if text.count(old) == 1 and not together and ".claim" not in where:
            text = text.replace(old, new)
            expected.add(where)
    found = problems(text)
    told = {where for _, where, _ in found}
    missing = expected - told
    assert not missing
    assert len(expected) > 25
    lines = [line for line, _, _ in found]
    assert lines == sorted(lines)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "text",
    [
        "force: 1", "force: [1]", "access_log: yes", "tokens: [a]", "tokens: {a: 1}",
        "consul: x", "limit_store: [1]", "tracing: 0",
        "routes: [{name: a, match: /a, control: m, rate_limit: [1]}]",
        "routes: [{name: a, match: /a, control: m, rate_limit: 5}]",
        "routes: [{name: a, match: /a, control: m, token: [1]}]",
        "routes: [{name: a, match: GET /a, compose: [1]}]",
        "routes: [{name: a, match: GET /a, compose: {parts: [1]}}]",
        "routes: [{name: a, match: GET /a, compose: {parts: {}}}]",
        "routes: [{name: a, match: GET /a, compose: {parts: {b: /c}}}]",
        "routes: [{name: a, match: GET /a, compose: {parts: {'b c': {get: /c}}}}]",
        "routes: [{name: a, match: GET /a, compose: {parts: {b: {get: 5}}}}]",
        "routes: [{name: a, match: GET /a, compose: {parts: {b: {get: /c, fallback: {1: 2}}}}}]",
        "routes: [{name: a, match: GET /a}]",
    ],
)  # fmt: skip
def test_value_of_another_kind_is_a_problem_with_a_line(text: str) -> None:
    found = problems(f"upstreams: {{m: {{url: 'http://h'}}}}\ndefault: m\n{text}\n")
    assert {line for line, _, _ in found} == {3}


# --- editing


def test_canary_is_edited_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "strangler.yaml"
    canary = '    canary: {percent: 5, sticky: "cookie:session"}\n'
    commented = WHOLE.replace(canary, f"    # Who meets the new posts.\n{canary[:-1]}  # yes\n")
    commented = commented.replace("  image:\n", "  image:   # from Consul\n")
    file.write_text(commented)
    edit = edit_canary(file, {"posts": Canary(percent=25, sticky="cookie:session")})
    before, after = edit.before, edit.after
    assert before.upstreams["posts"].canary.percent == 5
    assert after == load(file)
    assert after.upstreams["posts"].canary == Canary(percent=25, sticky="cookie:session")
    ours, theirs = commented.splitlines(), file.read_text().splitlines()
    changed = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    [(_, line)] = changed
    assert line.split("#") == ["    canary: {percent: 25, sticky: cookie:session}   ", " yes"]


def test_canary_that_stood_nowhere_is_added(tmp_path: Path) -> None:
    file = tmp_path / "strangler.yaml"
    file.write_text(WHOLE)
    edit_canary(file, {"monolith": Canary(percent=1), "image": Canary(percent=2)})
    after = load(file)
    percents = {name: upstream.canary.percent for name, upstream in after.upstreams.items()}
    assert percents == {"monolith": 1, "posts": 5, "image": 2, "payment": 0}
    kept = {**parse(WHOLE).model_dump(), "upstreams": None}
    assert {**after.model_dump(), "upstreams": None} == kept


def test_canary_of_nobody_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "strangler.yaml"
    file.write_text(WHOLE)
    changes: dict[str, Any] = {"posts": Canary(percent=9), "poasts": Canary(percent=9)}
    with pytest.raises(ConfigError, match="no upstream 'poasts'; it has: monolith, posts"):
        edit_canary(file, changes)
    assert file.read_text() == WHOLE
