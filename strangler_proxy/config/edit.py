"""Change who serves in strangler.yaml: comments and layout kept, replaced atomically.

A reader sees the old file or the new one, never a half; an edit that would make a bad
configuration is refused and leaves the file as it was.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from strangler_proxy.config.load import load, parse
from strangler_proxy.config.model import Config
from strangler_proxy.config.problems import ConfigError, Problem
from strangler_proxy.config.route import Serve
from strangler_proxy.config.upstream import Canary
from strangler_proxy.shared_files import LOCKED_WITHIN_S, folder_locked, replace_text

Refusals = Callable[[Config], Iterator[tuple[str, str]]]
Change = Callable[[CommentedMap], None]


@dataclass(frozen=True, slots=True)
class PreparedEdit:
    """An edit that has been worked out, so that making it takes no time: one file for another."""

    path: Path
    before: str
    after: str

    def apply(self, within_s: float = LOCKED_WITHIN_S) -> None:
        """Put the new text in the place of the old; ConfigError when that is not there any more,
        or when somebody else has the folder locked for so long.
        """
        with _locked(self.path, within_s):
            now = self.path.read_text(encoding="utf-8")
            if now == self.after:
                return
            if now != self.before:
                told = "has been changed by somebody else meanwhile: it is left as it is"
                raise ConfigError([Problem(str(self.path), None, "", told)])
            replace_text(self.path, self.after)


def prepare_serve(path: Path, changes: dict[str, Serve]) -> PreparedEdit:
    """Work out what `edit_serve` would do, and change nothing yet."""
    path = path.resolve()
    with _locked(path):
        before, _, text = _worked_out(path, *_serve_edit(changes))
    return PreparedEdit(path, before, text)


def edit_serve(
    path: Path, changes: dict[str, Serve], within_s: float = LOCKED_WITHIN_S
) -> tuple[Config, Config]:
    """Set `serve` of the named routes; the configurations (before, after) are returned.

    Raises ConfigError when a route is unknown, has no candidate, or the file is bad, or when
    somebody else has its folder locked for so long.
    """
    return _edit(path, *_serve_edit(changes), within_s)


def _serve_edit(changes: dict[str, Serve]) -> tuple[Refusals, Change]:
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
                _put(route, "serve", _written(changes[route["name"]]), after="candidate")

    return refusals, change


def edit_canary(path: Path, changes: dict[str, Canary]) -> tuple[Config, Config]:
    """Set `canary` of the named upstreams; the configurations (before, after) are returned.

    Raises ConfigError when an upstream is unknown or the file is bad.
    """

    def refusals(config: Config) -> Iterator[tuple[str, str]]:
        for name in changes:
            if name not in config.upstreams:
                yield "", f"has no upstream '{name}'; it has: {', '.join(config.upstreams)}"

    def change(data: CommentedMap) -> None:
        for name, canary in changes.items():
            flow = CommentedMap(canary.model_dump())
            flow.fa.set_flow_style()
            _put(data["upstreams"][name], "canary", flow, after="health")

    return _edit(path, refusals, change)


def edit_default(path: Path, changes: dict[str, str]) -> tuple[Config, Config]:
    """Set `default`, as {"default": upstream}; the configurations (before, after) are returned.

    Raises ConfigError when there is no such upstream or the file is bad.
    """

    def refusals(config: Config) -> Iterator[tuple[str, str]]:
        for name in changes.values():
            if name not in config.upstreams:
                known = ", ".join(config.upstreams)
                yield "default", f"there is no upstream '{name}'; there are: {known}"

    def change(data: CommentedMap) -> None:
        data["default"] = changes["default"]

    return _edit(path, refusals, change)


def _edit(
    path: Path, refusals: Refusals, change: Change, within_s: float = LOCKED_WITHIN_S
) -> tuple[Config, Config]:
    path = path.resolve()  # a link is followed, not replaced
    with _locked(path, within_s):
        _, before, text = _worked_out(path, refusals, change)
        after = parse(text, str(path))
        replace_text(path, text)
        return before, after


def _worked_out(path: Path, refusals: Refusals, change: Change) -> tuple[str, Config, str]:
    """The text and the configuration as they are, and the text as it is to be."""
    before = load(path)
    problems = [Problem(str(path), None, *refusal) for refusal in refusals(before)]
    if problems:
        raise ConfigError(problems)
    now = path.read_text(encoding="utf-8")
    text = _changed(now, change)
    parse(text, str(path))
    return now, before, text


def _changed(text: str, change: Change) -> str:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 10_000  # no line of the file is folded anew
    # ruamel would write nothing for it; people write the word.
    yaml.representer.add_representer(
        type(None), lambda it, _: it.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    mapping, sequence, offset = _indentation(text)
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    data = yaml.load(text)
    change(data)
    out = StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def _put(place: CommentedMap, key: str, value: Any, *, after: str) -> None:
    """Set a key; a new one goes behind `after`, or to the end where that is not there."""
    if key in place or after not in place:
        place[key] = value
    else:
        place.insert(list(place).index(after) + 1, key, value)


def _written(serve: Serve) -> Any:
    if serve.by_upstream:
        return "canary"
    if serve.candidate_percent in (0, 100) and serve.sticky == Serve().sticky:
        return "candidate" if serve.candidate_percent else "control"
    flow = CommentedMap(candidate_percent=serve.candidate_percent, sticky=serve.sticky)
    flow.fa.set_flow_style()
    return flow


def _indentation(text: str) -> tuple[int, int, int]:
    """(mapping, sequence, offset) as the file itself indents: an edit stays a small diff."""
    lines: Sequence[str] = text.splitlines()
    for above, line in pairwise(lines):
        body = line.lstrip()
        if above.rstrip().endswith(":") and body.startswith("- "):
            offset = len(line) - len(body) - (len(above) - len(above.lstrip()))
            return 2, offset + 2, offset
    return 2, 4, 2


@contextmanager
def _locked(path: Path, within_s: float = LOCKED_WITHIN_S) -> Iterator[None]:
    """Two edits go one after the other."""
    try:
        with folder_locked(path.parent, within_s):
            yield
    except TimeoutError as fault:
        raise ConfigError([Problem(str(path), None, "", f"cannot be changed: {fault}")]) from fault
