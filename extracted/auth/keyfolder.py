"""Signing keys on disk: a folder of private keys, each a PEM file that is named for its key.

The name tells when the key was made: `20261128T093000.000Z-3f9a1c02.pem`. Each is written whole and
for its owner alone, so that a folder which is being added to can be read at any moment. Beside
them, `kept-s` has for how many seconds a key is needed after the next one was made, at the longest.
"""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from extracted.auth.keyring import USUAL, Lives, SigningKey
from extracted.chassis.private_file import write_private

log = logging.getLogger(__name__)

NAME = re.compile(r"(\d{8}T\d{6}\.\d{3}Z)-[A-Za-z0-9_-]{1,40}")
KEPT = "kept-s"
MOMENT = "%Y%m%dT%H%M%S.%fZ"


class KeyFolderError(ValueError):
    """The signing keys cannot be used; says which file, why, and what to do."""


class KeyFolder:
    """The keys at a place, read again whenever its files are others than before.

    What cannot be used changes nothing: the keys that were there before go on. It is tried again
    each time, as what is wrong may be mended without a trace in the files. `path` is a folder, or
    the file of a single key. Raises KeyFolderError at first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _state(path)
        self._keys = load(path)
        self._told = ""

    def current(self) -> tuple[SigningKey, ...]:
        """The keys as they are now; at least one."""
        try:
            state = _state(self._path)
            if state != self._seen:
                # The state is from before the keys: what comes in between is seen next time.
                self._keys, self._seen, self._told = load(self._path), state, ""
        except (KeyFolderError, OSError) as error:
            if str(error) != self._told:
                self._told = str(error)
                log.warning("Signing keys stay as they were: %s", error)
        return self._keys


def load(path: Path) -> tuple[SigningKey, ...]:
    """Read every key. Raises KeyFolderError when one is wrong, or when there is none."""
    try:
        keys = tuple(_read(file) for file in _files(path))
    except OSError as error:
        raise KeyFolderError(f"{path} cannot be read: {error.strerror}") from error
    if not keys:
        raise KeyFolderError(
            f"{path} has no signing key; make one: python -m extracted.auth.keys new --dir {path}"
        )
    return keys


def make(folder: Path, now: datetime) -> SigningKey:
    """Make a key pair and keep it in the folder, which is made if it is not there."""
    to_milliseconds = now.astimezone(UTC).strftime(MOMENT)[:-4]
    kid = f"{to_milliseconds}Z-{secrets.token_hex(4)}"
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(folder / f"{kid}.pem", pem.decode())
    return SigningKey(kid, _made_at(kid), private)


def remove(folder: Path, key: SigningKey) -> None:
    """Take the key away; also when somebody else did so just now."""
    (folder / f"{key.kid}.pem").unlink(missing_ok=True)


def note(folder: Path, lives: Lives) -> None:
    """Note these lives, if none so long are noted. Raises OSError, and KeyFolderError."""
    kept_s = _seconds(lives)
    if kept_s > max(_noted_s(folder), _seconds(USUAL)):
        write_private(folder / KEPT, f"{kept_s}\n")


def longest(folder: Path, lives: Lives) -> Lives:
    """These lives, with tokens that live as long as any noted. Raises KeyFolderError."""
    return replace(lives, ttl=max(lives.ttl, timedelta(seconds=_noted_s(folder)) - lives.delay))


def _seconds(lives: Lives) -> int:
    return int((lives.delay + lives.ttl).total_seconds())


def _noted_s(folder: Path) -> int:
    try:
        return int((folder / KEPT).read_text(encoding="ascii"))
    except (FileNotFoundError, NotADirectoryError):  # the latter: a single key's file
        return 0
    except (OSError, ValueError) as error:
        raise KeyFolderError(f"{folder / KEPT} does not say a number of seconds") from error


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.glob("*.pem"))


def _state(path: Path) -> list[tuple[str, int, int]]:
    found = [(file.name, file.stat()) for file in _files(path)]
    return [(name, stat.st_ino, stat.st_mtime_ns) for name, stat in found]


def _read(file: Path) -> SigningKey:
    made_at = _made_at(file.stem)
    try:
        private = load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise KeyFolderError(f"{file} is no private key in PEM without a password") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFolderError(f"{file} is no key for Ed25519: openssl genpkey -algorithm ed25519")
    return SigningKey(file.stem, made_at, private)


def _made_at(kid: str) -> datetime:
    match = NAME.fullmatch(kid)
    try:
        return datetime.strptime(match[1] if match else kid, MOMENT).replace(tzinfo=UTC)
    except ValueError:
        raise KeyFolderError(
            f"{kid}.pem does not say when the key was made; name it for instance"
            " 20261128T093000.000Z-mine.pem"
        ) from None
