"""Signing keys on disk: what is read, what is refused, and what a running service takes up."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from extracted.auth.keyfolder import KeyFolder, KeyFolderError, load, make, remove

NOON = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)


def rsa_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_key_is_its_owners_alone_and_read_as_it_was_made(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "keys"
    made = make(folder, NOON)
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    (read,) = load(folder)
    assert (read.kid, read.made_at, read.jwk()) == (made.kid, NOON, made.jwk())
    assert load(file)[0].kid == made.kid


def test_keys_made_at_the_same_moment_are_two(tmp_path: Path) -> None:
    assert make(tmp_path, NOON).kid != make(tmp_path, NOON).kid
    assert len(load(tmp_path)) == 2


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("mine.pem", "", "when the key was made"),
        ("20261331T000000.000Z-x.pem", "", "when the key was made"),
        ("20261128T093000.000Z-x.pem", "no key", "no private key in PEM"),
        ("20261128T093000.000Z-x.pem", "RSA", "no key for Ed25519"),
        ("notes.txt", "", "no signing key; make one"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why_and_what_to_do(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(rsa_pem() if content == "RSA" else content)
    with pytest.raises(KeyFolderError, match=told):
        KeyFolder(tmp_path)


def test_no_folder_is_told_like_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFolderError, match="no signing key"):
        KeyFolder(tmp_path / "nowhere")


def test_a_key_that_is_added_or_removed_is_seen_without_a_restart(tmp_path: Path) -> None:
    first = make(tmp_path, NOON)
    folder = KeyFolder(tmp_path)
    assert folder.current() is folder.current()
    second = make(tmp_path, NOON)
    assert {key.kid for key in folder.current()} == {first.kid, second.kid}
    remove(tmp_path, first)
    remove(tmp_path, first)
    assert {key.kid for key in folder.current()} == {second.kid}


def test_what_cannot_be_used_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = make(tmp_path, NOON)
    folder = KeyFolder(tmp_path)
    broken = tmp_path / "20261128T093000.000Z-x.pem"
    broken.write_text("-----BEGIN PRIVATE KEY-----")
    for _ in range(3):
        assert [key.kid for key in folder.current()] == [first.kid]
    assert caplog.text.count("stay as they were") == 1
    broken.unlink()
    remove(tmp_path, first)
    assert [key.kid for key in folder.current()] == [first.kid]
    second = make(tmp_path, NOON)
    assert [key.kid for key in folder.current()] == [second.kid]


def test_a_key_that_could_not_be_read_is_taken_up_once_it_can(tmp_path: Path) -> None:
    """Its owner or its mode may be mended, or the process have files to spare again: no file's
    name, inode or time is another then."""
    make(tmp_path / "other", NOON)
    (other,) = (tmp_path / "other").glob("*.pem")
    first = make(tmp_path, NOON)
    folder = KeyFolder(tmp_path)
    added = tmp_path / other.name
    added.write_text("not yet")
    written = added.stat()
    assert [key.kid for key in folder.current()] == [first.kid]
    added.write_bytes(other.read_bytes())
    os.utime(added, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert {key.kid for key in folder.current()} == {first.kid, other.stem}
