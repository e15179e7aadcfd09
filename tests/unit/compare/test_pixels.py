"""Images are judged by what they show, within a tolerance."""

import pytest

from strangler_proxy.compare import Answer, Kind, NotComparable, Pixels, PixelsRule, Rules, compare

JPEG = (("Content-Type", "image/jpeg"),)


def decode(body):
    """The test's own image format: width, height, channels."""
    if len(body) < 2 or len(body) != 2 + body[0] * body[1]:
        raise NotComparable("not an image")
    return Pixels(body[0], body[1], "L", body[2:])


def findings(control, candidate, tolerance=0):
    rules = Rules(bodies={"image/jpeg": PixelsRule(decode, tolerance)})
    return compare(Answer(200, JPEG, bytes(control)), Answer(200, JPEG, bytes(candidate)), rules)


@pytest.mark.parametrize(("tolerance", "expected"), [(0, 2), (2, 1), (3, 0)])
def test_channels_may_be_off_by_the_tolerance_and_no_more(tolerance, expected):
    found = findings([2, 2, 10, 20, 30, 40], [2, 2, 10, 21, 27, 40], tolerance)
    if expected:
        assert [f.where for f in found] == ["pixels"]
        assert f"up to 3 in {expected} of 4 channels" in str(found[0])
    else:
        assert found == []


def test_another_shape_is_a_difference_whatever_the_tolerance():
    assert [f.where for f in findings([2, 1, 1, 1], [1, 2, 1, 1], 255)] == ["image"]


def test_a_body_that_does_not_decode_is_not_comparable():
    assert [f.kind for f in findings([2, 1, 1, 1], [9])] == [Kind.NOT_COMPARABLE]
