"""How many scans a JPEG has: the same suite for the monolith's code and the service's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image

from extracted.image import scans as services
from monolith.images import scans as monoliths
from tests.bad_files import many_scans
from tests.blog import decoded, encoded, photograph

HasMore = Callable[[bytes, int], bool]
SEGMENT = b"\xff\xe1\xff\xff"  # APP1, as long as a segment can be


@pytest.fixture(params=[services.has_more_scans, monoliths.has_more_scans])
def has_more(request: pytest.FixtureRequest) -> HasMore:
    return request.param


def count(has_more: HasMore, jpeg: bytes) -> int:
    return next(most for most in range(1000) if not has_more(jpeg, most))


def progressive(mode: str = "RGB") -> bytes:
    picture = decoded(photograph("rocket.jpg")).convert(mode)
    return encoded(picture, "JPEG", progressive=True, quality=95)


@pytest.mark.parametrize(("mode", "scans"), [("L", 6), ("RGB", 10)])
def test_scans_of_a_progressive_picture_are_counted(
    has_more: HasMore, mode: str, scans: int
) -> None:
    assert count(has_more, progressive(mode)) == scans


def test_a_photograph_has_one(has_more: HasMore) -> None:
    assert count(has_more, photograph("rocket.jpg")) == 1


def test_restarts_and_fill_bytes_between_scans_hide_none(has_more: HasMore) -> None:
    picture = Image.effect_noise((300, 300), 90)
    data = encoded(picture, "JPEG", progressive=True, restart_marker_blocks=1)
    assert b"\xff\xd3" in data
    assert count(has_more, data.replace(b"\xff\xda", b"\xff\xff\xff\xda")) == 6


def test_what_lies_within_segments_is_no_scan(has_more: HasMore) -> None:
    data = progressive()
    stuffed = SEGMENT + (b"\xff\xda" * 40_000)[: 0xFFFF - 2]
    assert count(has_more, data[:2] + stuffed * 3 + data[2:]) == 10


def test_an_end_within_a_segment_ends_no_picture(has_more: HasMore) -> None:
    data = many_scans()
    thumbnail = encoded(Image.new("RGB", (9, 9)), "JPEG")
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    assert has_more(data[:2] + segment + data[2:], 100)


def test_what_follows_the_picture_is_no_scan(has_more: HasMore) -> None:
    """As phones do, which put a short film or a second picture there."""
    assert count(has_more, progressive() + b"\xff\xda\0\x08" * 5000) == 10


@pytest.mark.parametrize("tail", [b"\xff", b"\xff\xda", b"\xff\xda\0", b"\xff\xe1\xff\xff"])
def test_a_file_that_breaks_off_is_counted_to_its_end(has_more: HasMore, tail: bytes) -> None:
    assert not has_more(b"\xff\xd8" + tail, 1)


def test_a_marker_without_length_hides_no_scan(has_more: HasMore) -> None:
    """A decoder that looks for a lost restart goes past such markers byte by byte."""
    data = many_scans()
    first = data.index(b"\xff\xda")
    assert has_more(data[:first] + b"\xff\x02\xff\xff" + data[first:], 100)
