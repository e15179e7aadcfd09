"""Values of a YAML text changed, and all else as it was written: comments, layout, line ends."""

from collections.abc import Callable, Sequence
from io import StringIO
from itertools import pairwise
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.tokens import CommentToken

Change = Callable[[CommentedMap], None]
_MARK = "\ufeff"


def changed(text: str, change: Change) -> str:
    """The text after a change of what it holds."""
    mark = _MARK if text.startswith(_MARK) else ""
    line_end = "\r\n" if "\r\n" in text else "\n"
    plain = text.removeprefix(mark).replace("\r\n", "\n")
    return mark + _changed(plain, change).replace("\n", line_end)


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


def put(place: CommentedMap, key: str, value: Any, *, after: str) -> None:
    """Set a key; a new one goes behind `after`, or to the end where that is not there."""
    if key in place:
        place[key] = value
        return
    before = after if after in place else list(place)[-1]
    place.insert(list(place).index(before) + 1, key, value)
    _hand_on(place, before, key)


def flow(**values: Any) -> CommentedMap:
    """A value that stands in one line: {percent: 5, sticky: client}."""
    made = CommentedMap(values)
    made.fa.set_flow_style()
    return made


def _hand_on(place: CommentedMap, before: str, key: str) -> None:
    """Comments below `before` stay below what now follows it: they are about what comes next.

    They hang on its last word, however deep that is; the first line end is that of its own line.
    """
    token = _last_words(place, before)
    beside, _, below = token.value.partition("\n") if token is not None else ("", "", "")
    if below:
        token.value = f"{beside}\n"
        below_it = CommentToken(f"\n{below}", token.start_mark, None)
        place.ca.items[key] = [None, None, below_it, None]


def _last_words(holder: Any, last: Any) -> Any:
    """What ruamel has noted behind a value; it stands third with keys, and first with items."""
    slot = 2
    while isinstance(inner := holder[last], CommentedMap | CommentedSeq) and _in_lines(inner):
        keyed = isinstance(inner, CommentedMap)
        holder, last, slot = inner, list(inner)[-1] if keyed else len(inner) - 1, 2 if keyed else 0
    return (holder.ca.items.get(last) or [None] * 4)[slot]


def _in_lines(value: CommentedMap | CommentedSeq) -> bool:
    return bool(value) and not value.fa.flow_style()


def _indentation(text: str) -> tuple[int, int, int]:
    """(mapping, sequence, offset) as the file itself indents: an edit stays a small diff."""
    lines: Sequence[str] = text.splitlines()
    for above, line in pairwise(lines):
        body = line.lstrip()
        if above.rstrip().endswith(":") and body.startswith("- "):
            offset = len(line) - len(body) - (len(above) - len(above.lstrip()))
            return 2, offset + 2, offset
    return 2, 4, 2
