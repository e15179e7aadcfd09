"""Images compared by what they show. The caller decodes: the kit brings no image library."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from strangler_proxy.compare.finding import Difference


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded image: size in pixels, mode (such as `RGB`), and one byte a channel, row by row."""

    width: int
    height: int
    mode: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PixelsRule:
    """A body comparator for images.

    `decode` turns a body into Pixels, or raises NotComparable when it is no image.
    `tolerance` is how far a channel may be off, 0 to 255; 0 wants equal pixels.
    """

    decode: Callable[[bytes], Pixels]
    tolerance: int = 0
    name: str = "pixels"

    def __call__(self, control: bytes, candidate: bytes) -> Iterator[Difference]:
        """At most one difference: in shape if the shapes differ, otherwise in the channels."""
        left, right = self.decode(control), self.decode(candidate)
        shapes = _shape(left), _shape(right)
        if shapes[0] != shapes[1]:
            yield Difference("image", *shapes)
        elif left.data != right.data:
            distances = [abs(a - b) for a, b in zip(left.data, right.data, strict=True)]
            beyond = sum(1 for distance in distances if distance > self.tolerance)
            if beyond:
                off = f"off by up to {max(distances)} in {beyond} of {len(distances)} channels"
                yield Difference("pixels", shapes[0], off)


def _shape(image: Pixels) -> str:
    return f"{image.width}x{image.height} {image.mode}, {len(image.data)} channels"
