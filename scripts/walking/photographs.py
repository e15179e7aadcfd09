"""Real photographs, as files that people upload, and whether a picture shows one of them.

The photographs are in the public domain and ship inside scikit-image; nothing is downloaded.
"""

import io
from dataclasses import dataclass
from importlib.resources import files
from random import Random

from PIL import Image

NAMES = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "rocket.jpg",
)
BOX = (800, 600)  # the blog fits every picture into this
ORIENTATION_TAG = 0x0112
LIES_ON_ITS_SIDE = 6  # EXIF: turn by 90 degrees clockwise to show it upright
THUMBNAIL = (16, 12)
# Mean difference of thumbnails, 0 to 255. The same photograph, resized and compressed twice, stays
# below 1; two different ones of NAMES are above 40.
LIKENESS = 12.0

Pixels = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Photograph:
    """A file as a camera made it, the size it is shown at, and its look in a few pixels."""

    name: str
    content: bytes
    media_type: str
    shown_size: tuple[int, int]
    look: Pixels


def fitted(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size within BOX with the same proportions; never larger than it was."""
    scale = min(1.0, BOX[0] / size[0], BOX[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def load(name: str) -> Image.Image:
    """Read a photograph out of the installed scikit-image."""
    with files("skimage").joinpath("data", name).open("rb") as file, Image.open(file) as image:
        return image.convert("RGB")


def take(name: str, width: int, *, form: str = "JPEG", on_its_side: bool = False) -> Photograph:
    """Make the file that a camera with this resolution would have made of a photograph."""
    upright = load(name)
    height = round(upright.height * width / upright.width)
    upright = upright.resize((width, height), Image.Resampling.BILINEAR)
    stored = upright.transpose(Image.Transpose.ROTATE_90) if on_its_side else upright
    exif = Image.Exif()
    if on_its_side:
        exif[ORIENTATION_TAG] = LIES_ON_ITS_SIDE
    buffer = io.BytesIO()
    stored.save(buffer, form, quality=90, exif=exif)
    shown = fitted(upright.size)
    return Photograph(name, buffer.getvalue(), f"image/{form.lower()}", shown, look(upright))


def ordinary(rng: Random) -> list[Photograph]:
    """Return what people send to blogs: some small, some from telephones, some lying on a side."""
    album = [take(name, rng.choice((480, 640, 1000, 1600))) for name in NAMES]
    album += [take(name, 1280, on_its_side=True) for name in NAMES[:3]]
    album.append(take("coffee.png", 600, form="PNG"))
    return album


def heavy() -> list[Photograph]:
    """Return what cameras make: files of many megapixels."""
    return [take("coffee.png", 4800), take("rocket.jpg", 5200), take("chelsea.png", 4500)]


def look(image: Image.Image) -> Pixels:
    """Return an image's look: a thumbnail's values in a row."""
    return tuple(image.convert("RGB").resize(THUMBNAIL, Image.Resampling.BOX).tobytes())


def problem_with(content: bytes, size: tuple[int, int], expected: Pixels | None) -> str | None:
    """Return what is wrong with a served picture, or None.

    It must be a whole JPEG of this size, give or take a pixel of rounding, show the photograph
    with the expected look, and carry no EXIF data.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            form, actual, seen = image.format, image.size, look(image)
            carries_exif = len(image.getexif()) > 0
    except (OSError, SyntaxError, ValueError) as error:
        return f"it is no whole picture: {error}"
    if form != "JPEG":
        return f"it is {form}, not JPEG"
    if any(abs(a - b) > 1 for a, b in zip(actual, size, strict=True)):
        return f"it measures {actual}, not {size}"
    if carries_exif:
        return "it carries EXIF data"
    if expected is not None and (difference := unlikeness(seen, expected)) > LIKENESS:
        return f"it shows another photograph (difference {difference:.0f})"
    return None


def unlikeness(one: Pixels, other: Pixels) -> float:
    """Return the mean difference of two looks, 0 to 255."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)
