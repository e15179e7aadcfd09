"""The monolith's payments are moved as declared, and those that it left unfinished end here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from extracted.chassis.clock import utc_now
from extracted.chassis.database import Database
from extracted.chassis.events.envelope import read
from extracted.chassis.outbox import Outbox
from extracted.payment.reconciling import Reconciler, Tally
from extracted.payment.repository import SqlPayments
from extracted.payment.tables import outbox
from monolith.db import open_engine
from monolith.db import upgrade as upgrade_blog
from monolith.models import Payment, User
from monolith.payments.paying import Order
from scripts.processes import ROOT
from strangler_proxy.handover.comparing import compare
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.ledger import ledger_path, open_ledger
from strangler_proxy.handover.move import Move, load_moves
from strangler_proxy.handover.removal import remove
from strangler_proxy.handover.run import Ending, Mover
from strangler_proxy.handover.site import Ends, open_site
from tests.integration.handover.documents import ONCE, Follower
from tests.integration.payment.conftest import KINDS, migrated
from tests.payments_in_memory import FakeStripe
from tests.services import scratch_database

NOW = utc_now()
DECLINED = {"status": 402, "code": "card_declined", "message": "Nö."}


@dataclass
class Moving:
    """The blog's database, the service's, and the move between them."""

    move: Move
    ends: Ends
    ledger: Path

    def run(self) -> None:
        """Copy, carry over, verify."""
        with open_ledger(self.ledger, "start") as ledger:
            mover = Mover(self.move, self.ends, ledger, Follower(), threading.Event(), ONCE)
            assert mover.run() is Ending.CAUGHT_UP
        with open_site(self.move, self.ends) as site:
            report = compare(site, listed=20)
        assert report.agrees, str(report)

    def remove(self) -> None:
        """Give it up: the rows stay, and whoever writes passes."""
        with open_ledger(self.ledger, "remove") as ledger:
            remove(self.move, self.ends, ledger)


def left_behind(blog_url: str) -> None:
    """Payments of Ann's in the monolith: each way in which one may stand there."""
    upgrade_blog(blog_url)
    engine = open_engine(blog_url)
    with Session(engine) as session:
        ann = User(email="ann@example.org", name="Ann 🙂", password_hash="", created_at=NOW)
        session.add(ann)
        session.flush()
        done = {"stripe_id": "pi_1", "finished_at": NOW}
        session.add(payment(ann.id, "done", status="succeeded", **done))
        session.add(payment(ann.id, "no", status="failed", refusal=DECLINED, finished_at=NOW))
        session.add(payment(ann.id, "left", lease_until=NOW - timedelta(seconds=1)))
        session.add(payment(ann.id, "slow", status="processing", stripe_id="pi_2"))
        session.commit()
    engine.dispose()


def payment(user_id: int, key: str, **more: Any) -> Payment:
    order = Order(user_id, key, 1999, "usd", "pm_card_visa")
    told = {
        "user_id": user_id,
        "idempotency_key": key,
        "fingerprint": order.fingerprint,
        "amount": order.amount,
        "currency": order.currency,
        "payment_method": order.payment_method,
        "status": "pending",
        "created_at": NOW,
    }
    return Payment(**{**told, **more})


@pytest.fixture(params=KINDS)
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The monolith's database and the service's, of one kind."""
    with migrated(request.param, tmp_path) as url:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path / 'blog.db'}", url
            return
        with scratch_database(request.param) as blog_url:
            yield blog_url, url


def test_moved_payments_are_shut_until_handed_over_and_then_finished_and_told_of(
    urls: tuple[str, str], tmp_path: Path
) -> None:
    blog_url, url = urls
    left_behind(blog_url)
    (move,) = (
        each for each in load_moves(ROOT / "migrations/moves.yaml").moves if each.name == "payment"
    )
    moving = Moving(
        move,
        Ends(open_database(blog_url), open_database(url)),
        ledger_path(tmp_path / "moves.yaml", "payment"),
    )
    moving.run()
    with closing(Database(url)) as database:
        repository, stripe = SqlPayments(database.sessions, Outbox(outbox)), FakeStripe()
        reconciler = Reconciler(repository, stripe, utc_now, 30)
        kept = {each.order.key: each for each in repository.all_own(1, 0, 9)}
        assert {key: each.payer is None for key, each in kept.items()} == {
            "done": True,
            "no": True,
            "left": False,
            "slow": False,
        }
        assert kept["no"].refusal == DECLINED
        with pytest.raises(SQLAlchemyError):
            reconciler.round()
        assert stripe.asked == 0

        moving.remove()
        stripe.now["pi_2"] = FakeStripe().charge(kept["slow"].charge)
        assert reconciler.round() == Tally(succeeded=2)
        with database.sessions() as session:
            bodies = session.scalars(select(outbox.c.body).order_by(outbox.c.id)).all()
    payers = [read(body.encode()).payload.payer for body in bodies]
    assert [(payer.name, payer.email) for payer in payers] == [("Ann 🙂", "ann@example.org")] * 2
