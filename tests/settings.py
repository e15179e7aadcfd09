"""How each part reads its settings, and an environment that notes what is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from extracted.auth.settings import Settings as Auth
from extracted.email_worker.settings import Settings as EmailWorker
from extracted.image.settings import Settings as Image
from extracted.payment.settings import ReconcilerSettings
from extracted.payment.settings import Settings as Payment
from extracted.posts.settings import ConsumerSettings
from extracted.posts.settings import Settings as Posts

Read = Callable[[Mapping[str, str]], object]
SERVICES: dict[str, Read] = {
    "image": Image.from_environ,
    "auth": Auth.from_environ,
    "posts": Posts.from_environ,
    "payment": Payment.from_environ,
}
WORKERS: dict[str, Read] = {
    "posts-consumer": ConsumerSettings.from_environ,
    "payment-reconciler": ReconcilerSettings.from_environ,
    "email-worker": EmailWorker.from_environ,
}


class Noting(dict[str, str]):
    """An environment that notes which of its names were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)
