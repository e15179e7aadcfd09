"""An uploaded picture made into the JPEG that the blog shows. Opens no sockets and no files.

Old code of the blog, all in one place. The image service was written from it and gives the
same answers; `tests/diff` holds the two together.
"""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO

from PIL import Image, ImageCms

from monolith.errors import ApiError
from monolith.images.scans import has_more_scans

BOX = (800, 600)
FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
# Each goes over all pixels again, whatever its size. Programs write up to about ten.
MOST_SCANS = 100
JPEG_QUALITY = 85
EXIF_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def make_jpeg(data: bytes, max_bytes: int, max_pixels: int) -> tuple[bytes, int, int]:
    """The picture as a JPEG within 800x600, upright, on white, in sRGB, without metadata.

    Returns the bytes, width and height. Raises ApiError 400, 413, 415 or 422 with the reason.
    """
    if not data:
        raise ApiError(400, "empty_file", "The file is empty.")
    if len(data) > max_bytes:
        raise ApiError(413, "file_too_large", f"The file is larger than {max_bytes} bytes.")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many(max_pixels) from None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (Pillow meets hostile headers with exceptions of every kind)
        message = "The file is not a JPEG, PNG, GIF or WebP image."
        raise ApiError(415, "unsupported_type", message) from None
    with image:
        if image.width * image.height > max_pixels:
            raise _too_many(max_pixels)
        if image.format in ("JPEG", "MPO") and has_more_scans(data, MOST_SCANS):
            raise ApiError(422, "damaged_image", f"The image has more than {MOST_SCANS} scans.")
        try:
            _must_be_still(image)
            return _jpeg(image)
        except (ApiError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 (and hostile frames and pixels likewise)
            message = "The image is damaged or incomplete."
            raise ApiError(422, "damaged_image", message) from None


def _too_many(max_pixels: int) -> ApiError:
    message = f"The image has more than {max_pixels} pixels."
    return ApiError(413, "too_many_pixels", message)


def _must_be_still(image: Image.Image) -> None:
    # A phone's JPEG may carry a second picture (MPO); it is no animation.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise ApiError(422, "animated_image", "Animated images are not accepted.")


def _jpeg(image: Image.Image) -> tuple[bytes, int, int]:
    icc = image.info.get("icc_profile")
    orientation = 1
    with suppress(Exception):  # broken EXIF says nothing about the picture
        orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    lying = orientation in (5, 6, 7, 8)
    across, down = BOX[::-1] if lying else BOX
    scale = min(1, across / image.width, down / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))

    # JPEG decodes at 1/2, 1/4 or 1/8; twice the wanted size leaves the resize its quality.
    drafted = image.draft(None, (size[0] * 2, size[1] * 2))
    image.load()
    box = drafted[1] if drafted else None
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    image = _srgb(image, icc)
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    image.info.clear()
    out = BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return out.getvalue(), image.width, image.height


def _srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    if icc:
        # A profile that is broken, or of another colour space than the pixels, is left out.
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            source = ImageCms.ImageCmsProfile(BytesIO(icc))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted is not None:
                return converted
    return image.convert("RGB")
