"""What a cut-over asks of a proxy, of the fake, of one by its socket and of one by its address."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from strangler_proxy.handover import hold
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.hold import HoldRefused, Proxy
from strangler_proxy.handover.local_proxy import LocalProxy
from strangler_proxy.handover.remote_proxy import RemoteProxy
from strangler_proxy.handover.way import Owner
from strangler_proxy.shared_files import folder_locked
from tests.e2e.proxy.conftest import Served
from tests.integration.handover.cutting import FakeProxy
from tests.wire_tools.certificates import Authority
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Upstream

TOKEN = "a token of some length"
KINDS = ["fake", "local", "remote"]
LONG_S, DRAIN_S = 20.0, 5.0


def configuration(old: Upstream, new: Upstream, admin: int | None = None) -> str:
    """Two routes that move together, and one that has nowhere to go."""
    return (
        "listen: 127.0.0.1:0\n"
        + (f"admin: 127.0.0.1:{admin}\n" if admin else "")
        + f"upstreams: {{old: {{url: '{old.url}'}}, new: {{url: '{new.url}'}}}}\n"
        "default: old\n"
        "routes:\n"
        "  - {name: notes, match: POST /notes, control: old, candidate: new}  # moves\n"
        "  - {name: more, match: POST /more, control: old, candidate: new}\n"
        "  - {name: stays, match: POST /stays, control: old}\n"
    )


def who(name: str) -> Callable[[Peer], None]:
    """An upstream that says who it is."""

    def script(peer: Peer) -> None:
        while True:
            peer.request()
            peer.answer(name.encode())

    return script


@dataclass
class Place:
    """A proxy, clients that ask through it, and how many of them it has."""

    proxy: Proxy
    ask: Callable[[], Owner]
    under_way: Callable[[], int]
    clients: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8))

    def asked(self) -> Future[Owner]:
        """A request under way: who will have answered it."""
        return self.clients.submit(self.ask)


class Real:
    """Two proxies in front of the same upstreams."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.old = stack.enter_context(Upstream(who("control")))
        self.new = stack.enter_context(Upstream(who("candidate")))
        self.admin = f"http://127.0.0.1:{(port := free_port())}"
        self.served = {}
        for kind, admin in (("local", None), ("remote", port)):
            path = folder / kind / "strangler.yaml"
            path.parent.mkdir()
            path.write_text(configuration(self.old, self.new, admin))
            self.served[kind] = Served(path, 2, STRANGLER_ADMIN_TOKEN=TOKEN)
            stack.callback(self.served[kind].stop)

    def proxy(self, kind: str, *routes: str) -> Proxy:
        if kind == "local":
            return LocalProxy(self.served[kind].path, routes)
        return RemoteProxy(self.admin, TOKEN, routes)

    def ask(self, kind: str) -> Owner:
        port = self.served[kind].port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("POST", "/notes", "note")
            return Owner(connection.getresponse().read().decode())
        finally:
            connection.close()

    def under_way(self, kind: str) -> int:
        return sum(worker.connections for worker in self.served[kind].status().workers)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with ExitStack() as stack:
        yield Real(stack, tmp_path_factory.mktemp("proxies"))


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, real: Real) -> Iterator[Place]:
    if request.param == "fake":
        fake = FakeProxy()
        ask = partial(fake.request, lambda owner: owner)
        place = Place(fake, ask, lambda: fake._parked)
    else:
        proxy = real.proxy(request.param, "notes", "more")
        under_way = partial(real.under_way, request.param)
        place = Place(proxy, partial(real.ask, request.param), under_way)
    place.proxy.prepare(Owner.CANDIDATE)
    yield place
    place.proxy.serve(Owner.CONTROL)
    place.clients.shutdown()


def test_what_is_held_goes_to_the_side_that_was_flipped_to(place: Place) -> None:
    name = place.proxy.hold(LONG_S, DRAIN_S)
    asked = [place.asked() for _ in range(4)]
    until(lambda: place.under_way() == 4, "all are there")
    assert not any(each.done() for each in asked)
    place.proxy.flip(name)
    assert not any(each.done() for each in asked)
    released = hold.release([place.proxy], {place.proxy.name: name})
    assert {each.result(20) for each in asked} == {Owner.CANDIDATE}
    assert (released.held, released.broken) == (4, None)
    assert place.ask() == Owner.CANDIDATE


def test_preparing_changes_nothing(place: Place) -> None:
    assert place.ask() == Owner.CONTROL


def test_held_requests_go_on_to_the_control_when_the_flip_is_taken_back(place: Place) -> None:
    name = place.proxy.hold(LONG_S, DRAIN_S)
    asked = place.asked()
    place.proxy.flip(name)
    assert place.proxy.serve(Owner.CONTROL)
    assert not asked.done()
    place.proxy.release(name)
    assert asked.result(20) == Owner.CONTROL


def test_a_hold_ends_by_itself_and_nothing_is_flipped_under_it_then(place: Place) -> None:
    name = place.proxy.hold(0.5, DRAIN_S)
    assert place.asked().result(20) == Owner.CONTROL
    with pytest.raises(HoldRefused):
        place.proxy.flip(name)
    assert place.proxy.serve(Owner.CONTROL)
    assert place.ask() == Owner.CONTROL
    assert hold.release([place.proxy], {place.proxy.name: name}).broken is not None


def test_a_second_hold_is_refused_and_harms_the_first_in_nothing(place: Place) -> None:
    name = place.proxy.hold(LONG_S, DRAIN_S)
    with pytest.raises(HoldRefused):
        place.proxy.hold(LONG_S, DRAIN_S)
    assert place.proxy.release(name).broken is None
    assert place.ask() == Owner.CONTROL


def test_a_side_that_serves_already_may_be_asked_to_again(place: Place) -> None:
    for owner in (Owner.CONTROL, Owner.CANDIDATE, Owner.CANDIDATE, Owner.CONTROL):
        assert place.proxy.serve(owner)
        assert place.ask() == owner


def test_routes_that_the_owner_does_not_serve_are_refused_before_anything(place: Place) -> None:
    assert place.proxy.serve(Owner.CANDIDATE)
    with pytest.raises(HandoverRefused, match="is not served by the control alone"):
        place.proxy.prepare(Owner.CANDIDATE)
    place.proxy.prepare(Owner.CONTROL)


def test_a_locked_folder_does_not_keep_the_flip_waiting_beyond_the_hold(real: Real) -> None:
    proxy = real.proxy("local", "notes", "more")
    proxy.prepare(Owner.CANDIDATE)
    name = proxy.hold(4.0, DRAIN_S)
    with folder_locked(real.served["local"].path.parent):
        with pytest.raises(HoldRefused, match=r"cannot be changed: .+ is locked by pid"):
            proxy.flip(name)
        assert proxy.serve(Owner.CONTROL)
    proxy.release(name)
    assert real.ask("local") == Owner.CONTROL


# --- over an address


@pytest.fixture
def remote(real: Real) -> Iterator[Callable[..., RemoteProxy]]:
    def make(*routes: str, url: str = real.admin, token: str = TOKEN) -> RemoteProxy:
        return RemoteProxy(url, token, routes or ("notes",))

    yield make
    make("notes", "more").serve(Owner.CONTROL)


def refusal(proxy: RemoteProxy) -> str:
    with pytest.raises(HandoverRefused) as refused:
        proxy.prepare(Owner.CANDIDATE)
    with pytest.raises(HoldRefused):
        proxy.hold(1.0, 0.0)
    assert proxy.serve(Owner.CONTROL) is False
    return str(refused.value)


def test_a_wrong_token_is_told_as_one(remote: Callable[..., RemoteProxy], real: Real) -> None:
    told = refusal(remote(token="another"))
    assert told == f"{real.admin}: the token is not the one in that proxy's STRANGLER_ADMIN_TOKEN"


def test_a_machine_that_is_not_there_is_told(remote: Callable[..., RemoteProxy]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert refusal(remote(url=url)) == f"{url} cannot be reached: Connection refused"


def test_a_machine_that_says_nothing_is_given_up_in_time(
    remote: Callable[..., RemoteProxy],
) -> None:
    with Upstream(lambda peer: peer.gone()) as deaf:
        proxy = remote(url=deaf.url)
        began = time.monotonic()
        with pytest.raises(HoldRefused, match="did not answer in time"):
            proxy.hold(2.0, 0.2)
        assert time.monotonic() - began < 2 + 8  # a busy machine; unbounded it would be 30 s


def test_what_is_not_an_admin_address_is_told(
    remote: Callable[..., RemoteProxy], real: Real
) -> None:
    with Upstream(lambda peer: (peer.request(), peer.answer(b"<p>Hello"))) as other:  # type: ignore[arg-type, func-returns-value]
        told = refusal(remote(url=other.url))
    assert told == f"what answers at {other.url} is not a proxy's admin address"


def test_https_is_trusted_by_its_certificate_alone(
    remote: Callable[..., RemoteProxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate("localhost"))
    with Upstream(unauthorized, tls=context) as secure:
        url = f"https://localhost:{secure.port}"
        assert refusal(remote(url=url)).startswith(f"{url} has no certificate that is trusted: ")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        assert "STRANGLER_ADMIN_TOKEN" in refusal(remote(url=url))
        wrong_name = f"https://127.0.0.1:{secure.port}"
        assert "has no certificate that is trusted" in refusal(remote(url=wrong_name))


def unauthorized(peer: Peer) -> None:
    peer.request()
    peer.answer(b'{"detail": "no"}', status="401 Unauthorized")


def test_https_to_what_speaks_http_is_told(remote: Callable[..., RemoteProxy], real: Real) -> None:
    url = real.admin.replace("http", "https")
    assert refusal(remote(url=url)).startswith(f"{url} does not speak TLS: ")


def test_a_proxy_that_is_older_than_this_is_told_to_be_updated(
    remote: Callable[..., RemoteProxy],
) -> None:
    def script(peer: Peer) -> None:
        request = peer.request()
        if request.target == "/routes":
            peer.answer(b'[{"name": "notes", "candidate": "new", "serve": "control"}]')
        else:
            peer.answer(b'{"status": 404, "detail": "404: Not Found"}', status="404 Not Found")

    with Upstream(script) as old:
        told = refusal(remote(url=old.url))
    assert told == f"{old.url}: it has no POST /flip: it is an older version, to be updated first"


def test_every_route_that_cannot_be_flipped_there_is_told_at_once(
    remote: Callable[..., RemoteProxy], real: Real
) -> None:
    assert remote("more").serve(Owner.CANDIDATE)
    with pytest.raises(HandoverRefused) as refused:
        remote("notes", "nowhere", "stays", "more").prepare(Owner.CANDIDATE)
    assert refused.value.sentences == (
        f"{real.admin}: has no route 'nowhere'; it has: notes, more, stays",
        f"{real.admin}: route 'stays' has no candidate to flip to",
        f"{real.admin}: more is not served by the control alone, which owns the tables: run "
        "`strangler flip more --to control` first",
    )


def test_a_flip_that_arrives_behind_its_way_back_is_refused(
    remote: Callable[..., RemoteProxy], real: Real
) -> None:
    proxy = remote("notes", "more")
    proxy.prepare(Owner.CANDIDATE)
    name = proxy.hold(LONG_S, DRAIN_S)
    try:
        assert proxy.serve(Owner.CONTROL)
        with pytest.raises(HoldRefused, match="flipped outside it"):
            proxy.flip(name)
    finally:
        proxy.release(name)
    assert real.ask("remote") == Owner.CONTROL


def test_the_file_there_keeps_its_comments_and_the_audit_says_who(
    remote: Callable[..., RemoteProxy], real: Real
) -> None:
    proxy = remote("notes", "more")
    proxy.prepare(Owner.CANDIDATE)
    name = proxy.hold(LONG_S, DRAIN_S)
    proxy.flip(name)
    proxy.release(name)
    path = real.served["remote"].path
    assert "# moves" in path.read_text()
    audit = (path.parent / ".strangler/audit.jsonl").read_text().splitlines()
    flips = [line for line in audit if "routes.notes.serve" in line or "routes.more.serve" in line]
    assert all("admin address 127.0.0.1, says " in line for line in flips[-2:])


def test_a_stopped_proxy_does_not_keep_the_others_holding(real: Real) -> None:
    local, gone = real.proxy("local", "notes"), RemoteProxy("http://127.0.0.1:9", TOKEN, ["notes"])
    with pytest.raises(HoldRefused, match="cannot be reached"):
        hold.acquire([local, gone], LONG_S, DRAIN_S)
    until(lambda: _asked(real), "nothing is held")


def _asked(real: Real) -> bool:
    with suppress(OSError):
        return real.ask("local") == Owner.CONTROL
    return False
