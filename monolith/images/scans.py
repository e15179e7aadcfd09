"""How often a JPEG would have its pixels gone over, told without decoding any.

A progressive JPEG brings its pixels in several scans, and one of 75 bytes makes the decoder go over
all of them again. Markers are looked for as the decoder does (ITU-T T.81, B.1.1): what is within a
segment, a thumbnail for instance, or behind the picture's end is none of its scans.
"""

from __future__ import annotations

import re

# FF and what begins a segment or ends the picture: no fill byte, stuffed one or restart.
MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
END_OF_IMAGE, START_OF_SCAN = b"\xd9", b"\xda"


def has_more_scans(jpeg: bytes, than: int) -> bool:
    """Whether the decoder would meet more than so many scans."""
    scans, place = 0, 2
    while (marker := MARKER.search(jpeg, place)) and marker[1] != END_OF_IMAGE:
        scans += marker[1] == START_OF_SCAN
        if scans > than:
            return True
        length = int.from_bytes(jpeg[marker.end() : marker.end() + 2], "big")
        place = marker.end() + max(2, length)
    return False
