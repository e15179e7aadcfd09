"""What must never be written down is replaced by ***: query parameters and headers. Pure.

Errs on the side of hiding: where servers disagree on how a query is read, every reading is hidden.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

HIDDEN = b"***"
# The word that lets a request choose its side is never written, whatever the settings say.
_ALWAYS_HIDDEN = (b"x-strangler-side", b"proxy-authorization")
_FORCED_SIDE = re.compile(rb"(strangler_side=)[^;]*", re.IGNORECASE)
_PART = re.compile(rb"[^\[\].]+")


class Redaction:
    """The names to hide: `query:token`, `header:cookie`, in any spelling."""

    def __init__(self, names: Iterable[str]) -> None:
        kinds: dict[str, set[bytes]] = {"query": set(), "header": set(_ALWAYS_HIDDEN)}
        for entry in names:
            kind, _, name = entry.partition(":")
            kinds[kind].add(name.lower().encode())
        self._parameters, self._headers = kinds["query"], kinds["header"]

    def target(self, target: bytes) -> bytes:
        """A request target, or a URL, with the values of hidden parameters replaced."""
        path, mark, query = target.partition(b"?")
        if not mark or not self._parameters:
            return target
        return path + b"?" + b"&".join(map(self._parameter, query.split(b"&")))

    def header(self, name: bytes, value: bytes) -> bytes:
        """The value of a header, by its lower-case name; URLs in it lose what their query hides."""
        if name in self._headers:
            return HIDDEN
        if name == b"cookie":
            value = _FORCED_SIDE.sub(rb"\1***", value)
        return self.target(value) if b"?" in value else value

    def _parameter(self, pair: bytes) -> bytes:
        """One of the query's parameters; some servers also take `;` for the end of one."""
        begin = 0
        for part in pair.split(b";"):
            name = part.partition(b"=")[0]
            if self._is_hidden(name):
                # To others the rest behind a `;` is a part of this value.
                return pair[:begin] + name + b"=" + HIDDEN
            begin += len(part) + 1
        return pair

    def _is_hidden(self, name: bytes) -> bool:
        plain = unquote_to_bytes(name.replace(b"+", b" ")).strip().lower()
        if plain in self._parameters:
            return True
        # user[password]= and user.password= are how forms name what is inside of something.
        return any(part in self._parameters for part in _PART.findall(plain))
