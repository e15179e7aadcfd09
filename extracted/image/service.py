"""What the service does with a picture. Knows neither HTTP nor S3; Pillow is its only tool.

Uploads are hostile until decoded: sizes and scans are judged before a pixel is decoded.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

from PIL import Image, ImageCms

from extracted.chassis.places import Places
from extracted.image.scans import has_more_scans

MAX_WIDTH, MAX_HEIGHT = 800, 600
FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
# Each goes over all pixels again, whatever its size. Programs write up to about ten.
MOST_SCANS = 100
JPEG_QUALITY = 85
EXIF_ORIENTATION = 0x0112  # Exif 2.32, 4.6.4 A
TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = (5, 6, 7, 8)


class BadPictureError(Exception):
    """An upload that becomes no picture; `code` is one of the constants below."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


EMPTY, TOO_LARGE, TOO_MANY_PIXELS = "empty_file", "file_too_large", "too_many_pixels"
UNSUPPORTED, ANIMATED, DAMAGED = "unsupported_type", "animated_image", "damaged_image"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that an upload may have: bytes of file, pixels of picture."""

    file_bytes: int
    pixels: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished JPEG, with its width and height in pixels."""

    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture under the name by which it is found again."""

    name: str
    width: int
    height: int


class PictureStore(Protocol):
    """Where finished pictures are put."""

    def put(self, name: str, jpeg: bytes) -> None:
        """Keep the picture; it can be read when this returns."""
        ...


def new_name() -> str:
    """A name that nobody can guess and no other picture has."""
    return f"{uuid.uuid4().hex}.jpg"


def accept(
    upload: bytes,
    limits: Limits,
    places: Places,
    store: PictureStore,
    name: Callable[[], str] = new_name,
) -> Stored:
    """Make a picture of an upload, in one of the places, and keep it.

    Raises BadPictureError, and NoPlaceError when all places are taken for too long.
    """
    with places.one():
        picture = make_picture(upload, limits)
    stored = Stored(name(), picture.width, picture.height)
    store.put(stored.name, picture.jpeg)
    return stored


def make_picture(upload: bytes, limits: Limits) -> Picture:
    """A JPEG within 800x600: aspect kept, never enlarged, upright, on white, sRGB, no metadata.

    Raises BadPictureError for anything else than one whole still picture within the limits.
    """
    if not upload:
        raise BadPictureError(EMPTY, "The file is empty.")
    if len(upload) > limits.file_bytes:
        raise BadPictureError(TOO_LARGE, f"The file is larger than {limits.file_bytes} bytes.")
    with _opened(upload, limits) as image:
        _judge(image, upload, limits)
        with _blaming_the_file():
            return _encoded(_upright(image))


def _judge(image: Image.Image, upload: bytes, limits: Limits) -> None:
    """Raise BadPictureError for what would take too long, or is no still picture."""
    if image.width * image.height > limits.pixels:
        raise _too_many(limits)
    if image.format in ("JPEG", "MPO") and has_more_scans(upload, MOST_SCANS):
        raise BadPictureError(DAMAGED, f"The image has more than {MOST_SCANS} scans.")
    # A phone's JPEG may carry a second picture (MPO); it is no animation.
    with _blaming_the_file():  # who is asked for animation reads on to the second frame
        animated = image.format != "MPO" and getattr(image, "is_animated", False)
    if animated:
        raise BadPictureError(ANIMATED, "Animated images are not accepted.")


def _too_many(limits: Limits) -> BadPictureError:
    return BadPictureError(TOO_MANY_PIXELS, f"The image has more than {limits.pixels} pixels.")


def _opened(upload: bytes, limits: Limits) -> Image.Image:
    """Read the header only."""
    try:
        return Image.open(BytesIO(upload), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many(limits) from None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (Pillow meets hostile headers with exceptions of every kind)
        message = "The file is not a JPEG, PNG, GIF or WebP image."
        raise BadPictureError(UNSUPPORTED, message) from None


@contextmanager
def _blaming_the_file() -> Iterator[None]:
    """Hostile frames and pixels, too, raise exceptions of all kinds; want of memory is no fault."""
    try:
        yield
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (see above)
        raise BadPictureError(DAMAGED, "The image is damaged or incomplete.") from None


def _upright(image: Image.Image) -> Image.Image:
    """Decode, shrink, flatten, convert and turn, in the order that handles the fewest pixels."""
    orientation = _orientation(image)
    profile = image.info.get("icc_profile")
    size = fitted(image.size, lying=orientation in LYING)
    small = _shrunk(image, size)
    flat = _on_white(small) if small.mode == "RGBA" else small
    coloured = _in_srgb(flat, profile)
    turn = TO_UPRIGHT.get(orientation)
    return coloured if turn is None else coloured.transpose(turn)


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # broken EXIF says nothing about the picture
        value = image.getexif().get(EXIF_ORIENTATION, 1)
        return int(value) if value in TO_UPRIGHT else 1  # it may be a fraction, 6/1
    return 1


def fitted(size: tuple[int, int], *, lying: bool) -> tuple[int, int]:
    """The size within 800x600, or within 600x800 for a picture that is yet to be stood up."""
    across, down = (MAX_HEIGHT, MAX_WIDTH) if lying else (MAX_WIDTH, MAX_HEIGHT)
    width, height = size
    scale = min(1, across / width, down / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    # JPEG decodes at 1/2, 1/4 or 1/8; twice the wanted size leaves the resize its quality.
    drafted = image.draft(None, (size[0] * 2, size[1] * 2))
    image.load()
    eight_bit = _eight_bit(image)
    if eight_bit.size == size:
        return eight_bit
    box = drafted[1] if drafted else None
    return eight_bit.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _eight_bit(image: Image.Image) -> Image.Image:
    """The pixels in a mode that can be resized: L, RGB, RGBA or CMYK."""
    if image.mode.startswith("I"):  # 16 bits of grey
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours as the profile means them; one that is broken or not the pixels' is left out."""
    if profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
            if converted is not None:
                return converted
    return image.convert("RGB")


def _encoded(image: Image.Image) -> Picture:
    image.info.clear()  # Pillow would write comments, profiles and XMP that it finds there
    out = BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return Picture(out.getvalue(), image.width, image.height)
