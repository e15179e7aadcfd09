"""What becomes of an uploaded picture: the same suite for the monolith's code and the service's."""

from __future__ import annotations

import struct
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from extracted.image.service import BadPictureError, Limits, fitted, make_picture
from monolith.errors import ApiError
from monolith.images.processing import make_jpeg
from tests.bad_files import bad_files, many_scans
from tests.blog import PHOTOGRAPHS, decoded, encoded, large_photograph, photograph

MAX_BYTES, MAX_PIXELS = 4_000_000, 30_000_000


class RefusedError(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


Make = Callable[[bytes], bytes]


def by_service(data: bytes) -> bytes:
    try:
        picture = make_picture(data, Limits(MAX_BYTES, MAX_PIXELS))
    except BadPictureError as error:
        raise RefusedError(error.code) from error
    assert decoded(picture.jpeg).size == (picture.width, picture.height)
    return picture.jpeg


def by_monolith(data: bytes) -> bytes:
    try:
        jpeg, width, height = make_jpeg(data, MAX_BYTES, MAX_PIXELS)
    except ApiError as error:
        raise RefusedError(error.code) from error
    assert decoded(jpeg).size == (width, height)
    return jpeg


@pytest.fixture(params=[by_service, by_monolith])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean distance of two pictures' channels, 0 to 255."""
    left, right = (np.asarray(image.convert("RGB"), dtype=float) for image in (one, other))
    return float(np.abs(left - right).mean())


def colour_at(jpeg: bytes, x: int, y: int) -> tuple[int, ...]:
    return decoded(jpeg).convert("RGB").getpixel((x, y))


def near(one: tuple[int, ...], other: tuple[int, ...], bound: int = 6) -> bool:
    return all(abs(a - b) <= bound for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_becomes_a_jpeg_within_the_frame(make: Make, name: str) -> None:
    source = decoded(photograph(name))
    result = decoded(make(photograph(name)))
    assert result.width <= 800
    assert result.height <= 600
    assert abs(result.width / result.height - source.width / source.height) < 0.01
    assert result.mode == "RGB"


def test_a_small_picture_is_not_enlarged(make: Make) -> None:
    assert decoded(make(encoded(Image.new("RGB", (40, 30)), "PNG"))).size == (40, 30)


@pytest.mark.parametrize("size", [(3000, 2), (2, 3000), (801, 600), (800, 601), (1, 1)])
def test_extreme_shapes_keep_at_least_a_pixel(make: Make, size: tuple[int, int]) -> None:
    assert decoded(make(encoded(Image.new("RGB", size), "PNG"))).size == fitted(size, lying=False)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(64, 32), (2400, 1200)])
def test_exif_orientation_is_applied(make: Make, orientation: int, size: tuple[int, int]) -> None:
    """The file is turned so that, shown as its EXIF asks, red is at the top left, blue right."""
    shown = Image.new("RGB", size, "white")
    shown.paste("red", (0, 0, size[0] // 2, size[1] // 2))
    shown.paste("blue", (size[0] // 2, 0, size[0], size[1] // 2))
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = shown.transpose(inverse[orientation]) if orientation > 1 else shown
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = make(encoded(stored, "JPEG", exif=exif, quality=95))
    image = decoded(result)
    assert image.size == fitted(size, lying=False)
    width, height = image.size
    assert near(colour_at(result, width // 4, height // 4), (254, 0, 0), 12)
    assert near(colour_at(result, width * 3 // 4, height // 4), (0, 0, 254), 12)
    assert near(colour_at(result, width // 4, height * 3 // 4), (255, 255, 255), 12)


RATIONAL, FLOAT, DOUBLE = 5, 11, 12  # TIFF 6.0, section 2


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (RATIONAL, struct.pack("<II", 6, 1)),
        (FLOAT, struct.pack("<f", 6)),
        (DOUBLE, struct.pack("<d", 6)),
    ],
)
def test_an_orientation_of_another_type_counts_too(make: Make, kind: int, value: bytes) -> None:
    """The standard wants a SHORT; some programs write what they have."""
    where = value if len(value) == 4 else struct.pack("<I", 26)
    entry = struct.pack("<HHI", 0x0112, kind, 1) + where
    tiff = b"II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0" + value
    data = encoded(Image.new("RGB", (64, 32), "red"), "JPEG", exif=b"Exif\0\0" + tiff)
    assert decoded(make(data)).size == (32, 64)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_spoil_a_picture(make: Make) -> None:
    data = encoded(Image.new("RGB", (64, 32), "red"), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert decoded(make(data)).size == (64, 32)


def test_all_metadata_is_stripped(make: Make) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera maker"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(
        decoded(photograph("rocket.jpg")),
        "JPEG",
        exif=exif,
        icc_profile=profile,
        comment=b"A private comment",
        xmp=b"<x:xmpmeta>A private note</x:xmpmeta>",
        dpi=(300, 300),
    )
    assert b"camera maker" in data
    assert b"private note" in data
    result = make(data)
    for secret in (b"camera", b"private", b"Exif", b"ICC_PROFILE", b"xmp", b"GPS"):
        assert secret not in result
    info = decoded(result).info
    assert not {"exif", "icc_profile", "comment", "xmp"} & info.keys()


def test_png_text_is_stripped(make: Make) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "somebody private", zip=False)
    data = encoded(Image.new("RGB", (9, 9)), "PNG", pnginfo=text)
    assert b"private" in data
    assert b"private" not in make(data)


def test_transparency_is_laid_on_white(make: Make) -> None:
    half = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    half.paste((255, 0, 0, 255), (0, 0, 40, 20))
    for kind in ("PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        result = make(encoded(half, kind, **options))
        assert near(colour_at(result, 20, 5), (254, 0, 0))
        assert near(colour_at(result, 20, 35), (255, 255, 255))


def test_invisible_colours_do_not_bleed_into_the_edges(make: Make) -> None:
    """Fully transparent pixels may hold any colour; shrinking must not mix it in."""
    image = Image.new("RGBA", (1600, 1200), (0, 255, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 801, 1200))
    assert near(colour_at(make(encoded(image, "PNG")), 400, 300), (255, 255, 255))


def test_a_palette_with_a_transparent_entry_is_laid_on_white(make: Make) -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (0, 0, 20, 10))
    for kind in ("PNG", "GIF"):
        result = make(encoded(image, kind, transparency=0))
        assert near(colour_at(result, 10, 16), (255, 255, 255))
        assert near(colour_at(result, 10, 3), (254, 0, 0))


@pytest.mark.parametrize(
    ("mode", "colour", "shown"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("LA", (100, 255), (100, 100, 100)),
        ("LA", (0, 0), (255, 255, 255)),
        ("RGB", (10, 120, 200), (10, 120, 200)),
        ("RGBA", (10, 120, 200, 255), (10, 120, 200)),
    ],
)
@pytest.mark.parametrize("size", [(24, 24), (1600, 1200)])
def test_every_png_mode_keeps_its_colours(
    make: Make, mode: str, colour: object, shown: tuple[int, ...], size: tuple[int, int]
) -> None:
    assert near(colour_at(make(encoded(Image.new(mode, size, colour), "PNG")), 9, 9), shown)


def test_sixteen_bit_grey_is_scaled_and_not_clipped(make: Make) -> None:
    levels = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    result = make(encoded(Image.fromarray(levels), "PNG"))
    for x in (0, 64, 128, 192, 255):
        assert near(colour_at(result, x, 30), (x, x, x), 4)


def test_cmyk_is_shown_in_its_colours(make: Make) -> None:
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    red, green, blue = colour_at(make(encoded(cyan, "JPEG", quality=95)), 16, 16)
    assert red < 60
    assert green > 150
    assert blue > 150


def test_an_icc_profile_is_converted_to_srgb(make: Make) -> None:
    """A profile with red and green primaries exchanged must exchange the colours."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = srgb.replace(b"rXYZ", b"tmp_").replace(b"gXYZ", b"rXYZ").replace(b"tmp_", b"gXYZ")
    assert exchanged != srgb
    picture = encoded(Image.new("RGB", (32, 32), (255, 0, 0)), "PNG", icc_profile=exchanged)
    assert near(colour_at(make(picture), 16, 16), (0, 255, 0), 12)


@pytest.mark.parametrize("profile", [b"no profile at all", b""])
def test_a_broken_icc_profile_is_left_out(make: Make, profile: bytes) -> None:
    picture = encoded(Image.new("RGB", (32, 32), (255, 0, 0)), "PNG", icc_profile=profile)
    assert near(colour_at(make(picture), 16, 16), (254, 0, 0))


def test_a_profile_of_another_colour_space_is_left_out(make: Make) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = encoded(Image.new("L", (32, 32), 90), "PNG", icc_profile=srgb)
    assert near(colour_at(make(picture), 16, 16), (90, 90, 90))


def test_a_phone_picture_with_a_second_one_inside_is_accepted(make: Make) -> None:
    first, second = Image.new("RGB", (64, 48), "red"), Image.new("RGB", (32, 24), "blue")
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert near(colour_at(make(data), 10, 10), (254, 0, 0))


def test_a_jpeg_of_a_hundred_scans_is_still_a_picture(make: Make) -> None:
    assert decoded(make(many_scans(100))).size == (64, 64)


def text_bomb() -> bytes:
    """A PNG whose compressed text unpacks to 100 MB."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 100_000_000, zip=True)
    return encoded(Image.new("RGB", (9, 9)), "PNG", pnginfo=text)


BAD = bad_files() | {"large": (b"\xff\xd8\xff" + b"\0" * MAX_BYTES, "file_too_large")}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_picture_is_refused_with_the_reason(make: Make, kind: str) -> None:
    data, code = BAD[kind]
    with warnings.catch_warnings():
        # In production Pillow's warning is only a line in the log; the limit must hold by itself.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(RefusedError) as caught:
            make(data)
    assert caught.value.code == code


def test_a_text_bomb_is_refused_or_harmless(make: Make) -> None:
    data = text_bomb()
    assert len(data) < MAX_BYTES
    with pytest.raises(RefusedError):
        make(data)


SEEDS = [
    encoded(decoded(photograph("rocket.jpg")).resize((64, 48)), "JPEG"),
    encoded(decoded(photograph("coffee.png")).resize((40, 30)), "PNG"),
    encoded(decoded(photograph("logo.png")).resize((30, 30)), "WEBP"),
    encoded(Image.new("P", (9, 9)), "GIF"),
    encoded(Image.new("CMYK", (20, 20)), "JPEG"),
]


@pytest.mark.filterwarnings("ignore")  # as in production, where a warning is a line in the log
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.sampled_from(SEEDS),
    spots=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
    keep=st.floats(0.1, 1),
)
def test_any_mutilated_file_is_a_picture_or_refused(
    make: Make, seed: bytes, spots: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(seed[: max(1, int(len(seed) * keep))])
    for place, value in spots:
        data[int(place * len(data))] = value
    try:
        result = make(bytes(data))
    except RefusedError:
        return
    assert decoded(result).width <= 800


def test_reduced_decoding_looks_the_same_as_full_decoding(make: Make) -> None:
    data = large_photograph(3200, 2136)
    full = decoded(data).resize(fitted((3200, 2136), lying=False), Image.Resampling.LANCZOS)
    expected = decoded(encoded(full, "JPEG", quality=85))
    assert difference(decoded(make(data)), expected) < 2.0


def test_reduced_decoding_is_faster_than_full_decoding(make: Make) -> None:
    data = large_photograph(4000, 2670)

    def full() -> None:
        image = decoded(data).resize(fitted((4000, 2670), lying=False), Image.Resampling.LANCZOS)
        encoded(image, "JPEG", quality=85)

    def cpu_s(work: Callable[[], object]) -> float:
        began = time.thread_time()
        work()
        return time.thread_time() - began

    # The least of three rounds of CPU time: other processes cannot make it less.
    assert min(cpu_s(lambda: make(data)) for _ in range(3)) < 0.7 * min(
        cpu_s(full) for _ in range(3)
    )


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_monolith_and_service_make_the_same_bytes(name: str) -> None:
    assert by_monolith(photograph(name)) == by_service(photograph(name))
