"""Passwords as bcrypt hashes; checking takes as long for an unknown user as for a known one."""

from __future__ import annotations

import bcrypt

# bcrypt reads 72 bytes; two longer passwords that differ only after them would be the same one.
MAX_BYTES = 72


class Passwords:
    """Hashes and checks at one cost (`rounds`, the exponent of two). Hashes made elsewhere, at
    whatever cost, are checked as they are."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self._nobodys = bcrypt.hashpw(b"nobody has this one", bcrypt.gensalt(rounds))

    def hash(self, password: str) -> str:
        """The hash to keep, 60 characters. The password must fit `MAX_BYTES`."""
        return bcrypt.hashpw(password.encode(), bcrypt.gensalt(self.rounds)).decode()

    def match(self, password: str, kept: str | None) -> bool:
        """Whether the password belongs to the kept hash; no hash costs the same time, and is no."""
        given = password.encode("utf-8", "surrogatepass")
        right = bcrypt.checkpw(given[:MAX_BYTES], kept.encode() if kept else self._nobodys)
        return right and kept is not None and len(given) <= MAX_BYTES
