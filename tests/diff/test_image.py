"""The image service answers as the monolith does, apart from what the rules below name."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
from PIL import Image, UnidentifiedImageError

from strangler_proxy.compare import (
    Answer,
    NotComparable,
    Pixels,
    PixelsRule,
    Rules,
    compare,
    unexplained,
)
from tests.bad_files import bad_files
from tests.blog import (
    PHOTOGRAPHS,
    SECRET,
    bearer,
    decoded,
    encoded,
    large_photograph,
    photograph,
    token,
)
from tests.diff.conftest import Request, Sides


def pixels(body: bytes) -> Pixels:
    """Decode for comparison; raises NotComparable for what is no image."""
    try:
        image = decoded(body)
    except UnidentifiedImageError as error:
        raise NotComparable(str(error)) from error
    return Pixels(image.width, image.height, image.mode, image.tobytes())


# Both sides give each upload a name of its own; Date, Server and X-Request-ID describe a message
# and are never compared. Nothing else may differ.
RULES = (
    Rules(bodies={"image/*": PixelsRule(pixels)})
    .ignoring("$.name", "generated-name")
    .ignoring("$.url", "generated-name")
)


def same(answers: tuple[Answer, Answer], rules: Rules = RULES) -> Answer:
    """Fail with every difference that no rule explains; else give the control's answer."""
    control, candidate = answers
    assert unexplained(compare(control, candidate, rules)) == []
    return control


def upload(data: bytes, name: str = "picture", field: str = "image") -> Request:
    return Request("POST", "/upload", bearer(), files={field: (name, data)})


def variants() -> dict[str, bytes]:
    """A photograph in every guise that clients send."""
    rocket, logo = decoded(photograph("rocket.jpg")), decoded(photograph("logo.png"))
    guises = {
        "large": large_photograph(3200, 2136),
        "progressive": encoded(rocket, "JPEG", progressive=True),
        "grey": encoded(rocket.convert("L"), "JPEG"),
        "cmyk": encoded(rocket.convert("CMYK"), "JPEG"),
        "webp": encoded(rocket, "WEBP"),
        "webp alpha": encoded(logo, "WEBP", lossless=True),
        "gif": encoded(rocket.convert("P"), "GIF"),
        "palette": encoded(rocket.convert("P"), "PNG"),
        "alpha": encoded(logo, "PNG"),
        "grey alpha": encoded(logo.convert("LA"), "PNG"),
        "one bit": encoded(rocket.convert("1"), "PNG"),
        "sixteen bit": encoded(rocket.convert("L").convert("I;16"), "PNG"),
        "tall": encoded(rocket.resize((30, 4000)), "PNG"),
        "one pixel": encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
    }
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        guises[f"orientation {orientation}"] = encoded(rocket, "JPEG", exif=exif)
    return guises


VARIANTS = variants()
BAD = bad_files() | {
    "large file": (b"\xff\xd8\xff" + b"\0" * 3_000_000, "file_too_large"),
    "large body": (b"\0" * 3_800_000, "body_too_large"),
}


def uploaded_alike(sides: Sides, data: bytes) -> None:
    control, candidate = sides.both(upload(data))
    same((control, candidate))
    assert control.status == 201
    names = [json.loads(each.body)["url"] for each in (control, candidate)]
    assert names[0] != names[1]
    # Each picture, whoever made it, as either side serves it: all four are one.
    shown = [same(sides.both(Request("GET", name))) for name in names]
    same((shown[0], shown[1]))
    assert shown[0].body[:2] == b"\xff\xd8"


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_become_the_same_pictures(sides: Sides, name: str) -> None:
    uploaded_alike(sides, photograph(name))


@pytest.mark.parametrize("guise", VARIANTS)
def test_every_guise_of_a_photograph_becomes_the_same_picture(sides: Sides, guise: str) -> None:
    uploaded_alike(sides, VARIANTS[guise])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_alike(sides: Sides, kind: str) -> None:
    data, code = BAD[kind]
    answer = same(sides.both(upload(data)))
    assert 400 <= answer.status < 500
    assert f'"{code}"'.encode() in answer.body


FORMS = {
    "no body": Request("POST", "/upload", bearer()),
    "another field": upload(b"x", field="picture"),
    "no file name": upload(b"x", name=""),
    "a text field": Request("POST", "/upload", bearer(), data={"image": "text"}),
    "json": Request(
        "POST", "/upload", {**bearer(), "Content-Type": "application/json"}, data='{"image": "x"}'
    ),
    "no boundary": Request(
        "POST", "/upload", {**bearer(), "Content-Type": "multipart/form-data"}, data=b"--x--"
    ),
    "cut form": Request(
        "POST",
        "/upload",
        {**bearer(), "Content-Type": "multipart/form-data; boundary=x"},
        data=b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc',
    ),
}


# werkzeug leaves the temporary file of a form that breaks off to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", FORMS)
def test_bad_forms_are_refused_alike(sides: Sides, kind: str) -> None:
    assert 400 <= same(sides.both(FORMS[kind])).status < 500


AUTHORIZATIONS = {
    "none": {},
    "empty": {"Authorization": ""},
    "no scheme": {"Authorization": token()},
    "basic": {"Authorization": "Basic eDp5"},
    "nothing after the scheme": {"Authorization": "Bearer "},
    "garbage": {"Authorization": "Bearer garbage"},
    "another secret": bearer(secret=SECRET[::-1] + "x"),
    "expired": bearer(lives_s=-1),
    "subject is no number": bearer(sub="me"),
    "subject is a list": bearer(sub=["1"]),
    "end is no number": bearer(exp="soon"),
    "unsigned": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."},
}


@pytest.mark.parametrize("kind", AUTHORIZATIONS)
def test_bad_tokens_are_refused_alike(sides: Sides, kind: str) -> None:
    request = Request("POST", "/upload", AUTHORIZATIONS[kind], files={"image": ("a", b"x")})
    answer = same(sides.both(request))
    assert answer.status == 401
    assert answer.header("www-authenticate") == ("Bearer",)


def test_the_scheme_may_be_written_in_any_case(sides: Sides) -> None:
    headers = {"Authorization": f"bearer {token()}"}
    files = {"image": ("a", photograph("coffee.png"))}
    assert same(sides.both(Request("POST", "/upload", headers, files=files))).status == 201


@pytest.fixture(scope="module")
def stored(sides: Sides) -> str:
    answer = sides.ask("monolith", upload(photograph("rocket.jpg")))
    return str(json.loads(answer.body)["url"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/upload", "stored", "/images/", "/images", "/images/a/b"])
def test_every_method_is_answered_alike(sides: Sides, stored: str, method: str, path: str) -> None:
    same(sides.both(Request(method, stored if path == "stored" else path, bearer())))


@pytest.mark.parametrize(
    "name",
    ["0" * 32 + ".jpg", "F" * 32 + ".jpg", "0" * 32 + ".png", "x", "%2e%2e", "%00", "a%2Fb", "%ff"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_names_without_a_picture_are_not_found_alike(sides: Sides, name: str, method: str) -> None:
    assert same(sides.both(Request(method, f"/images/{name}"))).status == 404


@pytest.mark.parametrize(
    ("made", "status"),
    [
        ("{}", 304),
        ("W/{}", 304),
        ('"x", {}', 304),
        ("*", 304),
        ('"x"', 200),
        ("nonsense", 200),
        ("", 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_are_judged_alike(
    sides: Sides, stored: str, made: str, status: int, method: str
) -> None:
    (etag,) = sides.ask("monolith", Request("HEAD", stored)).header("etag")
    request = Request(method, stored, {"If-None-Match": made.format(etag)})
    assert same(sides.both(request)).status == status


@pytest.mark.parametrize("headers", [{"Range": "bytes=0-9"}, {"If-Match": '"x"'}])
def test_other_conditions_and_ranges_are_judged_alike(
    sides: Sides, stored: str, headers: dict[str, str]
) -> None:
    same(sides.both(Request("GET", stored, headers)))


def test_the_comparison_sees_a_difference_of_one_pixel() -> None:
    """The suite above must be able to fail."""
    image = Image.new("RGB", (8, 8))
    answers = []
    for colour in ("black", "white"):
        image.putpixel((3, 3), (0, 0, 0) if colour == "black" else (255, 255, 255))
        out = BytesIO()
        image.save(out, "PNG")
        answers.append(Answer(200, (("Content-Type", "image/png"),), out.getvalue()))
    assert unexplained(compare(answers[0], answers[1], RULES))
