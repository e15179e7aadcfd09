"""Databases with the payment service's schema, and the local Stripe as a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from extracted.chassis.database import open_engine
from extracted.chassis.schema import upgrade
from extracted.chassis.tokens import TokenSettings
from extracted.payment.settings import Settings
from extracted.payment.tables import metadata
from scripts.processes import Fleet, Program, Running, free_ports
from tests.blog import NOWHERE, SECRET
from tests.services import scratch_database

API_KEY = "sk_test_payment"


@dataclass
class Stripe:
    """The double, asked as a test asks; `stop` and `start` make outages."""

    fleet: Fleet
    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Running:
        module = "scripts.embedded.stripe_double"
        place = ("--port", str(self.port), "--dir", str(self.folder))
        command = (sys.executable, "-m", module, *place)
        return self.fleet.start(Program("stripe", command, {}, self.port, "/_double/health"))

    def stop(self) -> None:
        self.fleet.stop()

    def spoil(self, **faults: Any) -> None:
        self._told("put", "/_double/faults", json=faults)

    def settle(self, stripe_id: str, *, paid: bool) -> None:
        self._told("put", f"/_double/payment_intents/{stripe_id}", json={"paid": paid})

    def charges(self) -> list[dict[str, Any]]:
        """Every charge that there is, the newest first."""
        headers = {"Authorization": f"Bearer {API_KEY}"}
        listed: list[dict[str, Any]] = self._told(
            "get", "/v1/charges", params={"limit": "100"}, headers=headers
        )["data"]
        return listed

    def charges_of(self, payment_id: int) -> list[dict[str, Any]]:
        told = str(payment_id)
        return [each for each in self.charges() if each["metadata"]["payment_id"] == told]

    def _told(self, method: str, path: str, **more: Any) -> Any:
        answer = requests.request(method, self.url + path, timeout=10, **more)
        answer.raise_for_status()
        return answer.json()


@pytest.fixture
def stripe(tmp_path: Path) -> Iterator[Stripe]:
    """A Stripe of this test's own, running."""
    with Fleet(tmp_path / "logs") as fleet:
        double = Stripe(fleet, tmp_path / "stripe")
        double.start()
        yield double


KINDS = ("sqlite", pytest.param("mysql", marks=pytest.mark.services))


@contextmanager
def migrated(kind: str, folder: Path) -> Iterator[str]:
    """A database of this kind with the service's schema; gives its URL."""
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'payment.db'}"
        if kind != "sqlite":
            url = stack.enter_context(scratch_database(kind))
        upgrade(url, "payment")
        yield url


def emptied(url: str) -> str:
    """The same without rows."""
    engine = open_engine(url)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    engine.dispose()
    return url


@pytest.fixture(scope="module", params=KINDS)
def payment_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database of each kind that the service runs on, with its schema."""
    with migrated(request.param, tmp_path_factory.mktemp("database")) as url:
        yield url


def payment_settings(url: str, folder: Path, **more: Any) -> Settings:
    """Settings of a service that talks to nobody, apart from what `more` says."""
    values = {
        "database_url": url,
        "broker_url": f"sqlite:///{folder / 'events.db'}",
        "tokens": TokenSettings(SECRET),
        "stripe_api_key": API_KEY,
        "stripe_api_base": f"http://{NOWHERE}",
    }
    return Settings(**{**values, **more})
