from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from extracted.chassis.private_file import write_private


def test_a_file_is_replaced_whole_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "keys.json"
    for text in ("a longer text", "ü"):
        write_private(file, text)
        assert file.read_text(encoding="utf-8") == text
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_who_writes_at_once_leaves_one_whole_text(tmp_path: Path) -> None:
    texts = [str(n) * 100_000 for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: write_private(tmp_path / "x", text), texts))
    assert (tmp_path / "x").read_text() in texts
    assert len(list(tmp_path.iterdir())) == 1


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_private(tmp_path / "taken", "text")
    with pytest.raises(UnicodeEncodeError):
        write_private(tmp_path / "x", "\ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
