"""Writes a file that is its owner's alone: whole or not at all, and on disk when it returns."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Put the text there, for this user only, instead of what was there. Raises OSError.

    Several processes may write the same file: one of the texts is there in the end.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp's files are 0600.
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
