"""The duties of a gateway: who must do what, how it is proven, and what is made of the figures."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from rich.console import Console
from werkzeug import Request, Response

from scripts.benchmarks.client import WrongAnswerError
from scripts.benchmarks.gateway import proofs, tokens
from scripts.benchmarks.gateway.contenders import CONTENDERS, Contender
from scripts.benchmarks.gateway.duties import DUTIES
from scripts.benchmarks.gateway.markdown import render
from scripts.benchmarks.gateway.report import show
from scripts.benchmarks.gateway.result import GatewayResult
from scripts.benchmarks.gateway.targets import Evidence, judge
from scripts.benchmarks.machine import Machine
from scripts.benchmarks.peers import Site
from scripts.benchmarks.result import PeerResult, Plan
from scripts.benchmarks.targets import exit_code
from scripts.benchmarks.upstream import COMMENTS_BODY, CONDITIONED, SMALL_BODY, USER_BODY
from strangler_proxy.config import load
from tests.unit.benchmarks.rounds import ROUND

GOOD = Evidence(
    asked=frozenset(
        {
            ("strangler-alone", "plain"),
            ("strangler", "plain"),
            ("strangler", "composed"),
            ("fastapi", "composed"),
        }
    ),
    cpu_us={
        ("strangler-alone", "plain"): 30.0,
        ("strangler", "plain"): 31.0,
        ("strangler", "composed"): 200.0,
        ("fastapi", "composed"): 5000.0,
    },
    errors=0,
)


class Fake:
    """A contender that does its duties, until it is told otherwise."""

    def __init__(self, server: HTTPServer) -> None:
        self.port = server.port
        self.share = 20  # one caller in twenty is the candidate's
        self.sticks = True
        self.refuses: Callable[[str], bool] = lambda token: token not in tokens.shared_tokens()
        self.limit = proofs.TIGHT_LIMIT
        self.composed = {
            "post": json.loads(SMALL_BODY),
            "author": json.loads(USER_BODY),
            "comments": json.loads(COMMENTS_BODY)["comments"],
        }
        self.asked = 0
        server.expect_request(re.compile(".*")).respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        self.asked += 1
        if request.path == "/api/posts/42":
            return Response(json.dumps(self.composed))
        if request.path == "/tight/42":
            self.limit -= 1
            return Response(SMALL_BODY, 200 if self.limit >= 0 else 429)
        if request.path.startswith("/signed/"):
            return self.check(request)
        number = int(request.headers.get("X-User", "user-1").removeprefix("user-"))
        number += 0 if self.sticks else self.asked // 500
        side = "control" if number % self.share else "candidate"
        return Response(SMALL_BODY, headers={"X-Served-By": side})

    def check(self, request: Request) -> Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.refuses(token):
            return Response("", 401, headers={"WWW-Authenticate": "Bearer"})
        if request.path.endswith("/1"):
            return Response(json.dumps({"subject": self.subject(request, token)}))
        return Response(SMALL_BODY)

    def subject(self, _request: Request, token: str) -> str:
        return tokens.subject(tokens.shared_tokens().index(token))


@pytest.fixture
def fake(httpserver: HTTPServer) -> Fake:
    return Fake(httpserver)


def proved(name: str, fake: Fake) -> None:
    next(duty for duty in DUTIES if duty.name == name).prove(fake.port)


@pytest.mark.parametrize("name", ["plain", "canary", "hs256", "limited", "composed"])
def test_a_duty_that_is_done_is_proven_as_often_as_it_is_asked(name: str, fake: Fake) -> None:
    proved(name, fake)
    proved(name, fake)


@pytest.mark.parametrize("share", [500, 2])
def test_a_canary_of_another_percent_is_none(share: int, fake: Fake) -> None:
    fake.share = share
    with pytest.raises(WrongAnswerError, match="not 5 percent"):
        proved("canary", fake)


def test_a_canary_that_does_not_stick_is_none(fake: Fake) -> None:
    fake.sticks = False
    with pytest.raises(WrongAnswerError, match="by one side, then by the other"):
        proved("canary", fake)


@pytest.mark.parametrize("what", ["missing", *tokens.refused_tokens()])
def test_a_token_that_should_not_pass_is_named(what: str, fake: Fake) -> None:
    passing = tokens.refused_tokens().get(what, "")
    fake.refuses = lambda token: token not in (passing, *tokens.shared_tokens())
    with pytest.raises(WrongAnswerError, match=f"{what} was answered 200 instead of 401"):
        proved("hs256", fake)


def test_a_subject_that_the_client_named_itself_is_no_proof(fake: Fake) -> None:
    fake.subject = lambda request, token: request.headers["X-Verified-Subject"]  # type: ignore[method-assign]
    with pytest.raises(WrongAnswerError, match=r"somebody-else.* instead of user-3"):
        proved("hs256", fake)


def test_a_limit_that_lets_all_pass_is_none(fake: Fake) -> None:
    fake.limit = 1000
    with pytest.raises(WrongAnswerError, match="a limit of 3 an hour"):
        proved("limited", fake)


@pytest.mark.parametrize("change", [{"comments": []}, {"author": {"name": "Unknown"}}, {"x": 1}])
def test_an_answer_that_is_not_of_the_three_parts_is_not_composed(
    change: dict[str, object], fake: Fake
) -> None:
    fake.composed |= change
    with pytest.raises(WrongAnswerError, match="/api/posts/42 was answered 200"):
        proved("composed", fake)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(18001, 18002, 18003, tmp_path, 18004)


def test_the_gateway_has_every_route_of_the_proxy_alone_and_conditions_on_others(
    site: Site, tmp_path: Path
) -> None:
    configs = []
    for name in ("strangler-alone", "strangler"):
        launch = contender(name).peer.launch("strangler", site)
        configs.append(load(tmp_path / "strangler.yaml"))
    alone, gateway = configs
    assert launch.env == {tokens.SECRET_VARIABLE: tokens.secret()}
    assert gateway.routes[: len(alone.routes)] == alone.routes
    added = {route.name: route for route in gateway.routes[len(alone.routes) :]}
    assert set(added) == {*CONDITIONED, "composed"}
    assert alone.upstreams.items() <= gateway.upstreams.items()


def test_envoy_is_told_of_all_addresses_and_every_duty(site: Site, tmp_path: Path) -> None:
    contender("envoy").peer.launch("envoy", site)
    text = (tmp_path / "envoy.json").read_text()
    assert [port for port in (18001, 18002, 18003, 18004) if str(port) not in text] == []
    assert [name for name in CONDITIONED if f'"/{name}"' not in text] == []


def contender(name: str) -> Contender:
    return next(one for one in CONTENDERS if one.peer.name == name)


def test_callers_take_turns_with_tokens_of_their_own() -> None:
    duty = next(duty for duty in DUTIES if duty.name == "rs256")
    script = duty.load().script()
    assert len(set(tokens.issued_tokens())) == tokens.CALLERS
    assert [token for token in tokens.issued_tokens() if f"Bearer {token}\n" not in script] == []


def verdicts(evidence: Evidence) -> list[str]:
    return [judgement.verdict for judgement in judge(evidence)]


def with_cpu(peer: str, duty: str, cpu_us: float) -> Evidence:
    return replace(GOOD, cpu_us={**GOOD.cpu_us, (peer, duty): cpu_us})


def test_all_met_ends_with_0() -> None:
    assert verdicts(GOOD) == ["met", "met", "met"]
    assert exit_code(judge(GOOD)) == 0


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (with_cpu("strangler", "plain", 33.1), ["missed", "met", "met"]),
        (with_cpu("strangler", "plain", 33.0), ["met", "met", "met"]),
        (with_cpu("strangler", "composed", 1000.0), ["met", "met", "met"]),
        (with_cpu("strangler", "composed", 1001.0), ["met", "missed", "met"]),
        (replace(GOOD, errors=1), ["met", "met", "missed"]),
        (replace(GOOD, cpu_us={}, errors=None), ["unjudged", "unjudged", "unjudged"]),
        (replace(GOOD, asked=frozenset({("envoy", "plain")})), ["not asked"] * 3),
    ],
)
def test_each_target_is_judged_by_its_own_figures(evidence: Evidence, expected: list[str]) -> None:
    assert verdicts(evidence) == expected


def result(*peers: PeerResult) -> GatewayResult:
    machine = Machine("A processor", 2, 16.0, "Linux 6", "3.11.0", load_before=0.1)
    return GatewayResult(
        *("2026-01-01T00:00:00Z", Plan(), machine, 1, [0], list(peers)),
        titles={"plain": "plain route", "composed": "composed of three parts"},
        asked={
            one.peer.name: tuple(duty.name for duty in contender(one.peer.name).duties)
            for one in peers
        },
    )


def measured(name: str, **cpu_us: float) -> PeerResult:
    rounds = {duty: [replace(ROUND, cpu_us_per_request=cpu)] for duty, cpu in cpu_us.items()}
    return PeerResult(contender(name).peer, version="1.0", rounds=rounds)


def test_the_tables_show_what_a_duty_adds_and_who_has_no_figures() -> None:
    absent = PeerResult(contender("fastapi").peer, absent="not installed")
    run = result(measured("strangler", plain=30.0, composed=200.0), absent)
    output = io.StringIO()
    show(run, Console(file=output, width=200))
    assert "+170.0" in output.getvalue()
    assert "missing: FastAPI + httpx + gather, not installed" in output.getvalue()
    text = render(run)
    assert "| composed of three parts | strangler | 200.0 (200.0-200.0) | +170.0 | 1.00 |" in text
    for table in text.split("\n\n")[2:]:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_duty_that_failed_counts_as_a_failure_and_the_others_keep_their_figures() -> None:
    ours = measured("strangler", plain=30.0)
    ours.faults.append("token, HS256, warm-up: a token that was expired was answered 200")
    run = result(measured("strangler-alone", plain=30.0), ours)
    assert [one.verdict for one in run.judgements()] == ["met", "not asked", "missed"]
    assert json.loads(json.dumps(run.as_json()))["peers"]["strangler"]["faults"] == ours.faults
