"""Which topics a pattern takes, as AMQP's topic exchanges match (AMQP 0-9-1, 3.1.3.3). Pure."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1024)
def takes(pattern: str, topic: str) -> bool:
    """Whether a topic falls under a pattern: `*` stands for one word, `#` for any number."""
    return _takes(tuple(pattern.split(".")), tuple(topic.split(".")))


def _takes(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_takes(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _takes(rest, words[1:])
