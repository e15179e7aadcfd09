"""Routes are flipped in one go, under a hold that has them; nothing overtakes a way back."""

from __future__ import annotations

import pytest

from strangler_proxy.config import ConfigError, Problem, load
from tests.integration.admin.conftest import TEXT, Admin
from tests.integration.admin.test_steering import ME

SECOND = """\
  - name: second  # as the first
    match: POST /second
    control: old
    candidate: new
"""
BOTH = ["moving", "second"]


@pytest.fixture(autouse=True)
def two_routes(admin: Admin) -> None:
    admin.path.write_text(TEXT + SECOND)
    assert admin.local("POST", "/reload").status == 200
    admin.proxy.told.clear()


def percents(admin: Admin) -> list[int]:
    routes = {route.name: route for route in load(admin.path).routes}
    return [routes[name].serve.candidate_percent for name in BOTH]


def hold(admin: Admin, *routes: str) -> str:
    answer = admin.local("POST", "/holds", {"routes": list(routes or BOTH)})
    assert answer.status == 200
    return str(answer.json["hold"])


def flip(admin: Admin, to: str = "candidate", **more: object) -> tuple[int, str]:
    answer = admin.local("POST", "/flip", {"routes": BOTH, "to": to, **more})
    return answer.status, answer.json.get("detail", "")


def test_all_routes_are_flipped_with_one_reload(admin: Admin) -> None:
    answer = admin.remote("POST", "/flip", {"routes": BOTH, "to": "candidate"})
    assert answer.status == 200
    assert answer.json["routes"]["second"]["before"]["candidate_percent"] == 0
    assert answer.json["routes"]["moving"]["after"]["candidate_percent"] == 100
    assert percents(admin) == [100, 100]
    assert "# as the first" in admin.path.read_text()
    assert admin.proxy.told == [("reload", "admin address 127.0.0.1")]


def test_a_flip_under_a_hold_is_served_only_while_the_workers_keep_it(admin: Admin) -> None:
    name = hold(admin)
    assert flip(admin, hold=name) == (200, "")
    assert admin.proxy.told[1:] == [("reload", ME, name)]


def test_flips_that_are_refused_put_all_routes_back(admin: Admin) -> None:
    name = hold(admin)
    admin.proxy.fault = ConfigError([Problem("", None, "", f"the hold '{name}' is over")])
    answer = admin.local("POST", "/flip", {"routes": BOTH, "to": "candidate", "hold": name})
    assert answer.status == 422
    assert "is over" in answer.json["problems"][0]["message"]
    assert percents(admin) == [0, 0]


def test_a_check_refuses_what_a_flip_would_be_refused_for_and_changes_nothing(
    admin: Admin,
) -> None:
    assert flip(admin, check=True) == (200, "")
    answer = admin.local("POST", "/flip", {"routes": ["page"], "to": "candidate", "check": True})
    assert answer.status == 422
    assert "has no candidate" in answer.json["problems"][0]["message"]
    assert admin.path.read_text() == TEXT + SECOND
    assert admin.proxy.told == []


def test_a_route_that_is_not_there_is_told_before_any_is_flipped(admin: Admin) -> None:
    answer = admin.local("POST", "/flip", {"routes": ["moving", "third"], "to": "candidate"})
    assert (answer.status, percents(admin)) == (404, [0, 0])
    assert answer.json["detail"] == "there is no route 'third'; there are: moving, page, second"


def test_a_flip_that_comes_behind_its_way_back_is_refused(admin: Admin) -> None:
    name = hold(admin)
    assert flip(admin, "control") == (200, "")  # the way back overtook it
    status, told = flip(admin, hold=name)
    assert status == 409
    assert told == f"the hold '{name}' is over, or its routes were flipped outside it meanwhile"
    assert percents(admin) == [0, 0]


def test_flips_by_hand_of_a_held_route_spoil_its_hold_and_no_other(admin: Admin) -> None:
    name = hold(admin, "second")
    assert admin.local("POST", "/routes/moving/serve", {"to": 5}).status == 200
    order = {"routes": ["second"], "to": "candidate", "hold": name}
    assert admin.local("POST", "/flip", order).status == 200
    assert admin.local("POST", "/routes/second/serve", {"to": "control"}).status == 200
    assert admin.local("POST", "/flip", order).status == 409


@pytest.mark.parametrize("released", [True, False])
def test_nothing_is_flipped_under_a_hold_that_is_over_or_was_never(
    admin: Admin, released: bool
) -> None:
    name = hold(admin) if released else "1-1"
    if released:
        assert admin.local("POST", f"/holds/{name}/release").status == 200
    assert flip(admin, hold=name)[0] == 409
    assert percents(admin) == [0, 0]


def test_a_hold_is_good_for_its_own_routes_alone(admin: Admin) -> None:
    name = hold(admin, "moving")
    assert flip(admin, hold=name) == (409, f"the hold '{name}' does not hold second")
