"""Change who serves in strangler.yaml: comments and layout kept, replaced atomically.

A reader sees the old file or the new one, never a half; an edit that would make a bad
configuration is refused and leaves the file as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml.comments import CommentedMap

from strangler_proxy.config.document import read_text
from strangler_proxy.config.layout import Change, changed, flow, put
from strangler_proxy.config.load import parse
from strangler_proxy.config.model import Config
from strangler_proxy.config.problems import ConfigError, Problem
from strangler_proxy.config.route import Serve
from strangler_proxy.config.upstream import Canary
from strangler_proxy.shared_files import LOCKED_WITHIN_S, folder_locked, replace_text


class Wanted(NamedTuple):
    """An edit in three parts: why it cannot be, what is written, and what is to come of it."""

    refusals: Callable[[Config], Iterator[tuple[str, str]]]
    change: Change
    expected: Callable[[Config], Config]


@dataclass(frozen=True, slots=True)
class PreparedEdit:
    """An edit that has been worked out, so that making it takes no time: one file for another."""

    path: Path
    text: str
    new_text: str
    before: Config
    after: Config

    @property
    def undone(self) -> "PreparedEdit":
        """The way back."""
        return PreparedEdit(self.path, self.new_text, self.text, self.after, self.before)

    def stands(self) -> bool:
        """Whether the file is as this edit leaves it."""
        return read_text(self.path) == self.new_text

    def apply(self, within_s: float = LOCKED_WITHIN_S) -> None:
        """Put the new text in the place of the old; ConfigError when that is not there any more,
        or when somebody else has the folder locked for so long.
        """
        with _locked(self.path, within_s):
            self.put_in_place()

    def put_in_place(self) -> None:
        """As `apply`, for who has the folder locked."""
        now = read_text(self.path)
        if now == self.new_text:
            return
        if now != self.text:
            told = "has been changed by somebody else meanwhile: it is left as it is"
            raise ConfigError([Problem(str(self.path), None, "", told)])
        replace_text(self.path, self.new_text)


def prepare_serve(path: Path, changes: dict[str, Serve]) -> PreparedEdit:
    """Work out what `edit_serve` would do, and change nothing yet."""
    path = path.resolve()
    with _locked(path):
        return _worked_out(path, _serve_edit(changes))


def edit_serve(
    path: Path, changes: dict[str, Serve], within_s: float = LOCKED_WITHIN_S
) -> PreparedEdit:
    """Set `serve` of the named routes; the edit that was made is returned.

    Raises ConfigError when a route is unknown or has no candidate, when the file is bad, would
    change in anything else, or was changed by somebody else meanwhile, or when somebody has its
    folder locked for so long.
    """
    return _edit(path, _serve_edit(changes), within_s)


def _serve_edit(changes: dict[str, Serve]) -> Wanted:
    def refusals(config: Config) -> Iterator[tuple[str, str]]:
        for name, serve in changes.items():
            route = config.route(name)
            if route is None:
                known = ", ".join(route.name for route in config.routes) or "none"
                yield "", f"has no route '{name}'; it has: {known}"
            elif route.candidate is None and (serve.candidate_percent or serve.by_upstream):
                yield f"routes[{name}]", "has no candidate to flip to"

    def change(data: CommentedMap) -> None:
        for route in data["routes"]:
            if route["name"] in changes:
                put(route, "serve", _written(changes[route["name"]]), after="candidate")

    def expected(config: Config) -> Config:
        routes = tuple(
            route.model_copy(update={"serve": changes.get(route.name, route.serve)})
            for route in config.routes
        )
        return config.model_copy(update={"routes": routes})

    return Wanted(refusals, change, expected)


def edit_canary(path: Path, changes: dict[str, Canary]) -> PreparedEdit:
    """Set `canary` of the named upstreams; as `edit_serve`."""

    def refusals(config: Config) -> Iterator[tuple[str, str]]:
        for name in changes:
            if name not in config.upstreams:
                yield "", f"has no upstream '{name}'; it has: {', '.join(config.upstreams)}"

    def change(data: CommentedMap) -> None:
        for name, canary in changes.items():
            put(data["upstreams"][name], "canary", flow(**canary.model_dump()), after="health")

    def expected(config: Config) -> Config:
        upstreams = {
            name: upstream.model_copy(update={"canary": changes.get(name, upstream.canary)})
            for name, upstream in config.upstreams.items()
        }
        return config.model_copy(update={"upstreams": upstreams})

    return _edit(path, Wanted(refusals, change, expected))


def edit_default(path: Path, changes: dict[str, str]) -> PreparedEdit:
    """Set `default`, as {"default": upstream}; as `edit_serve`."""

    def refusals(config: Config) -> Iterator[tuple[str, str]]:
        for name in changes.values():
            if name not in config.upstreams:
                known = ", ".join(config.upstreams)
                yield "default", f"there is no upstream '{name}'; there are: {known}"

    def change(data: CommentedMap) -> None:
        data["default"] = changes["default"]

    def expected(config: Config) -> Config:
        return config.model_copy(update={"default": changes["default"]})

    return _edit(path, Wanted(refusals, change, expected))


def _edit(path: Path, wanted: Wanted, within_s: float = LOCKED_WITHIN_S) -> PreparedEdit:
    path = path.resolve()  # a link is followed, not replaced
    with _locked(path, within_s):
        edit = _worked_out(path, wanted)
        edit.put_in_place()
    return edit


def _worked_out(path: Path, wanted: Wanted) -> PreparedEdit:
    text = read_text(path)
    before = parse(text, str(path))
    _refuse(path, wanted.refusals(before))
    new_text = changed(text, wanted.change)
    after = parse(new_text, str(path))
    _refuse(path, _moved_too(wanted.expected(before), after))
    return PreparedEdit(path, text, new_text, before, after)


def _refuse(path: Path, refusals: Iterator[tuple[str, str]]) -> None:
    if problems := [Problem(str(path), None, *refusal) for refusal in refusals]:
        raise ConfigError(problems)


def _moved_too(expected: Config, after: Config) -> Iterator[tuple[str, str]]:
    """What else the edit would change: values that stand once and are used twice."""
    told = "would change as well: it takes its values from there (<<, *): write them out in it"
    for route, other in zip(expected.routes, after.routes, strict=True):
        if route.serve != other.serve:
            yield f"routes[{route.name}]", told
    for name, upstream in expected.upstreams.items():
        if upstream.canary != after.upstreams[name].canary:
            yield f"upstreams.{name}", told


def _written(serve: Serve) -> Any:
    if serve.by_upstream:
        return "canary"
    if serve.candidate_percent in (0, 100) and serve.sticky == Serve().sticky:
        return "candidate" if serve.candidate_percent else "control"
    return flow(candidate_percent=serve.candidate_percent, sticky=serve.sticky)


@contextmanager
def _locked(path: Path, within_s: float = LOCKED_WITHIN_S) -> Iterator[None]:
    """Two edits go one after the other."""
    try:
        with folder_locked(path.parent, within_s):
            yield
    except TimeoutError as fault:
        raise ConfigError([Problem(str(path), None, "", f"cannot be changed: {fault}")]) from fault
