"""JSON as the bytes it came in: checked whole, looked into, never written anew. Pure.

A number keeps its digits, an object its order and its escapes: what passes through must not change
by being read. Of a key that stands twice in an object the last counts, as it does for most readers.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

_WHOLE = msgspec.json.Decoder(msgspec.Raw)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_NOT_TEXT = {
    ord("n"): "null",
    ord("t"): "true",
    ord("f"): "false",
    ord("["): "a list",
    ord("{"): "an object",
}


class NotThereError(Exception):
    """Nothing stands at that path."""


def whole(body: bytes) -> bytes:
    """The one JSON value that a body consists of, without the space around it.

    RFC 8259, and of RFC 7493 that no surrogate stands alone. Raises ValueError.
    """
    try:
        # msgspec checks the grammar of what it leaves raw, but not that its text is UTF-8.
        body.decode()
        return bytes(_WHOLE.decode(body))
    except UnicodeDecodeError as fault:
        raise ValueError(f"not UTF-8 at byte {fault.start}") from None
    except msgspec.DecodeError as fault:
        raise ValueError(str(fault)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def find(value: bytes, keys: Sequence[str]) -> bytes:
    """What stands at a path of keys, and of indices where there is a list, in checked JSON."""
    for key in keys:
        try:
            if value[:1] == b"[":
                value = bytes(_ARRAY.decode(value)[int(key)])
            elif value[:1] == b"{":
                value = bytes(_OBJECT.decode(value)[key])
            else:
                raise NotThereError(key)
        except (LookupError, ValueError, RecursionError):
            # int() refuses names, and digits beyond counting. How deep is too deep depends on the
            # callers' stack, so that what was just shallow enough to be checked may be so no more.
            raise NotThereError(key) from None
    return value


def scalar(value: bytes) -> str:
    """A text without its escapes, or a number as the digits it came in.

    Raises ValueError, whose message is what it is instead, such as "null".
    """
    if value[:1] == b'"':
        return _TEXT.decode(value)
    if what := _NOT_TEXT.get(value[0]):
        raise ValueError(what)
    return value.decode()


def encode(value: Any) -> bytes:
    """A value of the configuration as JSON. What has no counterpart there becomes a text."""
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    """Numbers as YAML's reader makes them are subclasses, which msgspec does not take."""
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)
