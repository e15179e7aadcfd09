import json
import logging
from pathlib import Path

import pytest

from strangler_proxy.config.address import Address
from strangler_proxy.gateway.remembered import Entry, Remembered

ENTRY = Entry("service 'image'", ("10.0.0.1:80", "[::1]:81"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "addresses.json"


def test_what_was_saved_is_there_for_the_next_process(path: Path) -> None:
    Remembered(path).save({"image": ENTRY})
    found = Remembered(path).addresses("image", "service 'image'")
    assert found == (Address("10.0.0.1", 80), Address("::1", 81))


def test_another_source_of_the_same_upstream_gets_nothing(path: Path) -> None:
    Remembered(path).save({"image": ENTRY})
    assert Remembered(path).addresses("image", "service 'pictures'") == ()
    assert Remembered(path).addresses("auth", "service 'image'") == ()


def test_the_same_content_is_not_written_again(path: Path) -> None:
    remembered = Remembered(path)
    remembered.save({"image": ENTRY})
    path.unlink()
    remembered.save({"image": ENTRY})
    assert not path.exists()
    remembered.save({})
    assert json.loads(path.read_bytes()) == {"upstreams": {}, "version": 1}


def test_a_proxy_without_discovery_writes_no_file(path: Path) -> None:
    Remembered(path).save({})
    assert not path.parent.exists()


def test_nothing_half_written_is_ever_seen_under_the_name(path: Path) -> None:
    path.parent.mkdir()
    Remembered(path).save({"image": ENTRY})
    whole = path.read_bytes()
    # What a process leaves that was killed while it wrote.
    path.with_name("addresses.json.new").write_bytes(whole[:20])
    remembered = Remembered(path)
    assert remembered.addresses("image", ENTRY.source)
    remembered.save({"image": Entry("service 'image'", ())})
    assert [file.name for file in path.parent.iterdir()] == ["addresses.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"version": 2, "upstreams": {}}',
        b'{"version": 1, "upstreams": {"image": {"source": "service \'image\'"}}}',
        b'{"version": 1, "upstreams": {"image": {"source": "x", "addresses": ["nowhere"]}}}',
        b'{"version": 1, "upstreams": {"image": {"source": "x", "addresses": ["a:99999"]}}}',
        b'{"version":1,"upstreams":{},"more":' + b"[" * 100_000,
    ],
)
def test_content_that_cannot_be_used_is_told_ignored_and_replaced(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    remembered = Remembered(path)
    assert remembered.addresses("image", "x") == ()
    assert str(path) in caplog.text
    remembered.save({"image": ENTRY})
    assert Remembered(path).addresses("image", ENTRY.source)


def test_a_file_that_cannot_be_written_is_told_once_and_tried_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.write_bytes(b"a file where the folder should be")
    with caplog.at_level(logging.ERROR):
        remembered = Remembered(path)
        caplog.clear()
        for port in range(3):
            remembered.save({"image": Entry("s", (f"10.0.0.1:{port}",))})
    assert len(caplog.records) == 1
    path.parent.unlink()
    remembered.save({"image": Entry("s", ("10.0.0.1:2",))})
    assert Remembered(path).addresses("image", "s") == (Address("10.0.0.1", 2),)
