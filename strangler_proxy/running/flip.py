"""Change who serves: edit the file, have it taken over, put it back when it is not.

The same code serves the command, which asks the proxy over its socket, and the admin interface,
which is inside the proxy: both say how a reload is had. Blocks while it works on the file.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pydantic import ValidationError

from strangler_proxy.config import (
    Canary,
    Config,
    ConfigError,
    PreparedEdit,
    Problem,
    Serve,
    edit_canary,
    edit_default,
    edit_serve,
    load,
)
from strangler_proxy.config.edit import prepare_serve
from strangler_proxy.running.client import ProxyUnreachable, RunningProxy

Side = Literal["control", "candidate", "canary"] | int
Value = TypeVar("Value", Serve, Canary, str)
Settable = TypeVar("Settable", Serve, Canary)
Reload = Callable[[], int]
"""Has the file read again; returns its generation once every worker serves it."""


@dataclass(frozen=True, slots=True)
class Flipped(Generic[Value]):
    """What was served before and is now, by route or upstream; the generation all workers serve."""

    before: Mapping[str, Value]
    after: Mapping[str, Value]
    generation: int


def flip(
    config_path: Path, routes: Iterable[str], to: Side, sticky: str | None = None
) -> Flipped[Serve]:
    """Let `to` serve the routes: "control", "candidate", the candidate's percent, or "canary".

    "canary" is the percent that the candidate upstream itself says. Raises ProxyUnreachable before
    anything is changed when no proxy runs, and ConfigError when the change is refused; the file is
    then as it was. ValueError: `to` or `sticky` is nothing that a route can be served by.
    """
    proxy = RunningProxy(config_path)
    proxy.status()
    return change_routes(config_path, routes, to, sticky, proxy.reload)


def flip_upstreams(
    config_path: Path, upstreams: Iterable[str], percent: int, sticky: str | None = None
) -> Flipped[Canary]:
    """Let upstreams serve this percent of callers on all routes that say canary; as `flip`."""
    proxy = RunningProxy(config_path)
    proxy.status()
    return change_upstreams(config_path, upstreams, percent, sticky, proxy.reload)


def lead_default(config_path: Path, upstream: str) -> Flipped[str]:
    """Let an upstream answer whatever no route names; as `flip`."""
    proxy = RunningProxy(config_path)
    proxy.status()
    changes = {"default": upstream}
    return _change(config_path, changes, edit_default, lambda it, _: it.default, proxy.reload)


def change_routes(
    path: Path, routes: Iterable[str], to: Side, sticky: str | None, reload: Reload
) -> Flipped[Serve]:
    """Edit `serve` of the routes and have it served by `reload`, or put the file back."""
    current = load(path)
    changes = {name: _serve(current, name, to, sticky) for name in routes}

    def read(config: Config, name: str) -> Serve | None:
        route = config.route(name)
        return route.serve if route else None

    return _change(path, changes, edit_serve, read, reload)


def check_routes(path: Path, routes: Iterable[str], to: Side) -> None:
    """Refuse what `change_routes` would refuse to edit, and change nothing."""
    current = load(path)
    prepare_serve(path, {name: _serve(current, name, to, None) for name in routes})


def change_upstreams(
    path: Path, upstreams: Iterable[str], percent: int, sticky: str | None, reload: Reload
) -> Flipped[Canary]:
    """Edit `canary` of the upstreams and have it served by `reload`, or put the file back."""

    def read(config: Config, name: str) -> Canary | None:
        upstream = config.upstreams.get(name)
        return upstream.canary if upstream else None

    current = load(path)
    changes = {}
    for name in upstreams:
        now = read(current, name) or Canary()
        changes[name] = _valid(Canary, percent=percent, sticky=sticky or now.sticky)
    return _change(path, changes, edit_canary, read, reload)


def _change(
    path: Path,
    changes: dict[str, Value],
    edit: Callable[[Path, dict[str, Value]], PreparedEdit],
    read: Callable[[Config, str], Value | None],
    reload: Reload,
) -> Flipped[Value]:
    made = edit(path, changes)
    old, new = (
        {name: value for name in changes if (value := read(config, name)) is not None}
        for config in (made.before, made.after)
    )
    try:
        return Flipped(old, new, reload())
    except (ConfigError, ProxyUnreachable, OSError) as refused:
        # Whatever the proxy made of it, it serves by the file in the end: the old values are
        # right there. What somebody else has changed meanwhile is theirs, and stays.
        try:
            if made.stands():
                made.undone.apply()
            else:
                now = load(path)
                edit(path, {name: old[name] for name in old if read(now, name) == new[name]})
        except (ConfigError, OSError) as fault:
            raise _not_taken_back(path, refused, fault) from refused
        raise


def _not_taken_back(path: Path, refused: Exception, fault: Exception) -> ConfigError:
    problems = list(refused.problems) if isinstance(refused, ConfigError) else []
    message = f"the change was refused and could not be taken back: {fault}"
    return ConfigError([*problems, Problem(str(path), None, "", message)])


def _serve(config: Config, name: str, to: Side, sticky: str | None) -> Serve:
    if to == "canary":
        if sticky:
            raise ValueError("who counts as a caller of a canary is said at its upstream")
        return Serve(by_upstream=True)
    percent = {"control": 0, "candidate": 100}.get(to, to) if isinstance(to, str) else to
    route = config.route(name)
    key = sticky or (route.serve.sticky if route else "client")
    return _valid(Serve, candidate_percent=percent, sticky=key)


def _valid(kind: type[Settable], **values: object) -> Settable:
    """The value, or a ValueError that is a sentence."""
    try:
        return kind.model_validate(values)
    except ValidationError as fault:
        error = fault.errors()[0]
        place = ".".join(map(str, error["loc"]))
        raise ValueError(f"{place}: {error['msg'].removeprefix('Value error, ')}") from None
