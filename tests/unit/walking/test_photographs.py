import io

import pytest
from PIL import Image, ImageOps

from scripts.walking import photographs
from scripts.walking.photographs import BOX, NAMES, Photograph, problem_with, take


def served(photograph: Photograph, *, upright: bool = True, form: str = "JPEG") -> bytes:
    """What a blog that works makes of a photograph, written in another way than the blog's."""
    with Image.open(io.BytesIO(photograph.content)) as image:
        shown = ImageOps.exif_transpose(image) if upright else image
        assert shown is not None
        shown.thumbnail(BOX)
        out = io.BytesIO()
        shown.convert("RGB").save(out, form, quality=80)
        return out.getvalue()


@pytest.fixture(scope="module")
def album() -> list[Photograph]:
    return [take(name, 900, on_its_side=number % 2 == 0) for number, name in enumerate(NAMES)]


def test_the_right_picture_of_the_right_size_is_no_problem(album: list[Photograph]) -> None:
    for each in album:
        assert problem_with(served(each), each.shown_size, each.look) is None


def test_every_other_photograph_is_told_apart(album: list[Photograph]) -> None:
    for one in album:
        for other in album:
            if one is not other:
                problem = problem_with(served(one), one.shown_size, other.look)
                assert problem is not None
                assert "another photograph" in problem


def test_a_picture_left_lying_on_its_side_is_a_problem(album: list[Photograph]) -> None:
    lying = served(album[1 - 1], upright=False)
    assert problem_with(lying, album[0].shown_size, album[0].look) is not None


def test_a_picture_that_was_cut_short_is_a_problem(album: list[Photograph]) -> None:
    whole = served(album[1])
    problem = problem_with(whole[: len(whole) // 2], album[1].shown_size, album[1].look)
    assert problem is not None
    assert "no whole picture" in problem


def test_another_format_or_metadata_left_in_is_a_problem(album: list[Photograph]) -> None:
    png = served(album[1], form="PNG")
    assert problem_with(png, album[1].shown_size, None) == "it is PNG, not JPEG"
    small = take(NAMES[0], 400, on_its_side=True)
    assert problem_with(small.content, (400, 400), None) == "it carries EXIF data"


def test_heavy_photographs_have_many_megapixels_and_fit_an_upload() -> None:
    for each in photographs.heavy():
        with Image.open(io.BytesIO(each.content)) as image:
            assert image.width * image.height > 12_000_000
        assert len(each.content) < 16 * 2**20
