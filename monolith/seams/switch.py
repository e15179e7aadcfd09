"""Which capability is local and which remote, read live from one small file.

One stat a request; the file is read again when it is another file than before. So a step can
switch a seam in every worker without a restart, and back.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Literal

log = logging.getLogger(__name__)

Mode = Literal["local", "remote"]
CAPABILITIES = ("image", "auth")


class Switch:
    """Reads e.g. {"image": "remote"}. No file, or no word about a capability, means local.

    A file that cannot be understood changes nothing: what stood before it still stands.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._modes: dict[str, Mode] = {}

    def mode(self, capability: str) -> Mode:
        """How the capability is reached now."""
        self._refresh()
        return self._modes.get(capability, "local")

    def modes(self) -> dict[str, Mode]:
        """How every capability is reached now."""
        self._refresh()
        return {capability: self._modes.get(capability, "local") for capability in CAPABILITIES}

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._seen, self._modes = None, {}
            return
        identity = (state.st_ino, state.st_mtime_ns, state.st_size)
        if identity == self._seen:
            return
        try:
            self._modes = _read(self._path)
        except (OSError, ValueError) as error:
            log.warning("Seams stay as they were (%s): %s: %s", self._modes, self._path, error)
        self._seen = identity


def _read(path: Path) -> dict[str, Mode]:
    """Raises ValueError for anything but {capability: "local" or "remote"}."""
    modes = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(modes, dict):
        raise ValueError(  # noqa: TRY004 (one error for a file that is wrong, however it is)
            'it must be an object such as {"image": "remote"}'
        )
    for name, mode in modes.items():
        if name not in CAPABILITIES or mode not in ("local", "remote"):
            known = ", ".join(CAPABILITIES)
            raise ValueError(
                f"{name!r}: {mode!r} is not understood; known: {known}, local or remote"
            )
    return modes
