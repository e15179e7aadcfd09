"""A move's routes, held against those of strangler.yaml."""

from strangler_proxy.config import parse
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.routes import route_mistakes

CONFIG = parse(
    """
listen: 127.0.0.1:8000
upstreams:
  old: {url: http://127.0.0.1:5000}
  new: {url: http://127.0.0.1:5001}
default: old
routes:
  - {name: create_post, match: POST /posts, control: old, candidate: new}
  - {name: pages, match: GET /pages, control: old}
"""
)


def mistakes(*routes: str) -> tuple[str, ...]:
    tables = [{"table": "posts"}]
    move = {"name": "m", "source_env": "A", "target_env": "B", "routes": routes, "tables": tables}
    return route_mistakes(Move.model_validate(move), CONFIG, "strangler.yaml")


def test_routes_with_a_candidate_are_good():
    assert mistakes("create_post") == ()


def test_each_unknown_route_is_told_with_the_nearest_name_or_all():
    near, far = mistakes("crate_post", "zzz")
    assert "names the route 'crate_post', which strangler.yaml has not" in near
    assert near.endswith("did you mean 'create_post'?")
    assert far.endswith("it has: create_post, pages")


def test_a_route_without_a_candidate_is_refused():
    (told,) = mistakes("pages", "create_post")
    assert told.startswith("route 'pages' of strangler.yaml has no candidate")


def test_a_move_without_routes_is_told_what_to_list():
    (told,) = mistakes()
    assert "move m names no routes" in told
