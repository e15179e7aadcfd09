"""Files that become no picture, one of each kind, made without any from elsewhere."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from tests.blog import encoded, photograph


def bomb(width: int, height: int) -> bytes:
    """A PNG of 100 bytes that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animation(kind: str) -> bytes:
    """Three frames."""
    first, *more = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    return encoded(first, kind, save_all=True, append_images=more)


def many_scans(scans: int = 101) -> bytes:
    """A progressive JPEG whose last scan, of some bytes, comes so often that it has so many."""
    data = encoded(Image.new("L", (64, 64), 128), "JPEG", progressive=True)
    end, last = len(data) - 2, data.rindex(b"\xff\xda")
    return data[:end] + data[last:end] * (scans - data.count(b"\xff\xda")) + data[end:]


def gif_with_half_a_second_frame() -> bytes:
    """One whole frame, and the first byte of what comes before another."""
    return encoded(Image.new("P", (4, 4)), "GIF")[:-1] + b"!"


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Name of the kind -> the file, and the code that refuses it."""
    small = Image.new("RGB", (9, 9))
    return {
        "empty": (b"", "empty_file"),
        "bomb": (bomb(30_000, 30_000), "too_many_pixels"),
        "bomb that Pillow only warns of": (bomb(10_000, 10_000), "too_many_pixels"),
        "bomb above the limit alone": (bomb(6_000, 6_000), "too_many_pixels"),
        "text": (b"This is no picture.", "unsupported_type"),
        "pdf": (b"%PDF-1.7\n", "unsupported_type"),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_type"),
        "tiff": (encoded(small, "TIFF"), "unsupported_type"),
        "bmp": (encoded(small, "BMP"), "unsupported_type"),
        "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported_type"),
        "gif animation": (animation("GIF"), "animated_image"),
        "png animation": (animation("PNG"), "animated_image"),
        "webp animation": (animation("WEBP"), "animated_image"),
        "jpeg of too many scans": (many_scans(), "damaged_image"),
        "gif with half a second frame": (gif_with_half_a_second_frame(), "damaged_image"),
        "cut jpeg": (photograph("rocket.jpg")[:-20_000], "damaged_image"),
        "cut png": (photograph("coffee.png")[:-20_000], "damaged_image"),
        "cut header": (photograph("rocket.jpg")[:15], "unsupported_type"),
    }
