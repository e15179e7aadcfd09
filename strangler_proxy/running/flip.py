"""Change who serves routes: edit the file, and return when every worker serves by it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from strangler_proxy.config import Config, ConfigError, Serve, edit_serve, load
from strangler_proxy.running.client import RunningProxy

Side = Literal["control", "candidate"] | int


@dataclass(frozen=True, slots=True)
class Flipped:
    """What was served before and is now, by route; the generation that all workers serve."""

    before: dict[str, Serve]
    after: dict[str, Serve]
    generation: int


def flip(config_path: Path, routes: Iterable[str], to: Side, sticky: str | None = None) -> Flipped:
    """Let `to` serve the routes: "control", "candidate", or the candidate's percent of callers.

    Raises ProxyUnreachable before anything is changed when no proxy runs, and ConfigError when
    the change is refused; the file is then as it was.
    """
    names = list(routes)
    proxy = RunningProxy(config_path)
    proxy.status()
    current = load(config_path)
    changes = {name: _serve(current, name, to, sticky) for name in names}
    before, after = edit_serve(config_path, changes)
    try:
        generation = proxy.reload()
    except ConfigError:
        edit_serve(config_path, _served(before, names))
        raise
    return Flipped(_served(before, names), _served(after, names), generation)


def _serve(config: Config, name: str, to: Side, sticky: str | None) -> Serve:
    percent = {"control": 0, "candidate": 100}.get(to, to) if isinstance(to, str) else to
    route = config.route(name)
    key = sticky or (route.serve.sticky if route else "client")
    return Serve.model_validate({"candidate_percent": percent, "sticky": key})


def _served(config: Config, names: list[str]) -> dict[str, Serve]:
    return {name: route.serve for name in names if (route := config.route(name))}
