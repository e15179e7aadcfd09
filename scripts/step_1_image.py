#!/bin/sh
"""exec" "$(dirname "$0")/lib/python" "$0" "$@"

Step 1: carve the image service out of the monolith. The line above is for the shell, which reads
it as a command: it makes the project's environment, and runs this file in it. Python takes it
for the docstring that it is. Importing this module does nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import quote

from PIL import Image

from scripts import carving, order, retiring, soaking
from scripts.watching import WatchOptions
from strangler_proxy.compare import NotComparable, Pixels, PixelsRule, Rules
from strangler_proxy.config import Route, Upstream
from strangler_proxy.steps import Gate, Stage, Step
from strangler_proxy.steps.gates import AnswersCompared, Sample
from strangler_proxy.steps.http import ask
from strangler_proxy.steps.options import count, option, percents
from strangler_proxy.steps.proxy import Proxy
from strangler_proxy.steps.script import Script, Site, run_step_script

ROUTES = ("image", "upload")
AFFECTED = "post-create"
ABSENT = "/images/no-image-has-this-name.jpg"

EXAMPLES = """\
  scripts/step_1_image.py                       the plan
  scripts/step_1_image.py --execute             run it; thresholds for live traffic, a day's soak
  scripts/step_1_image.py --execute --percents 50 --watch-s 5 --patience-s 120 --samples 12 \\
      --min-requests 40 --min-uploads 2 --extra-errors 10% --p99-floor-s 2 --soak-s 5
                                                a rehearsal, with scripts/traffic in a second shell
  scripts/step_1_image.py --status              where it stands
  scripts/step_1_image.py --undo                everything back to the monolith"""


@dataclass(frozen=True)
class Options(WatchOptions):
    """What a team may set; the defaults are for production."""

    percents: tuple[int, ...] = option(
        (5, 25, 50), "callers to send to the candidate, before all", parse=percents
    )
    min_requests: int = option(500, "images the candidate must serve in each watch", parse=count)
    min_uploads: int = option(
        20, "uploads, and at last posts, that must be seen in each watch", parse=count
    )
    samples: int = option(50, "images whose answers are compared before any flip", parse=count)
    tolerance: int = option(
        0, "how far a channel of a pixel may be off, 0 to 255", parse=int, metavar="LEVELS"
    )
    image: tuple[str, ...] = option(
        (), "name of an image to compare, beside those of GET /posts (repeatable)", many=True
    )


def declare(options: Options, site: Site) -> Step:
    """The image step as it runs on this site. Opens nothing. Raises StepError."""
    route = carving.routes_of(site, ROUTES)[0]
    control, candidate = carving.sides_of(site, ROUTES)
    proxy = Proxy(site.config_path)
    least = dict(zip(ROUTES, (options.min_requests, options.min_uploads), strict=True))
    watch = carving.watch(site, proxy, options, least)
    watch_all = carving.watch(site, proxy, options, least, wholly=True)
    posts = {**least, AFFECTED: options.min_uploads}
    watch_posts = carving.watch(
        site, proxy, options, posts, least, {AFFECTED: route.control}, wholly=True
    )
    answers = _answers(options, site, route, control, candidate)
    return Step(
        "image",
        "Step 1: the image service takes over POST /upload and GET /images/<name>",
        (
            carving.standing(site, control),
            carving.serving(site, "image", candidate, options.external, {}, (answers,)),
            *(carving.flipped(ROUTES, share, proxy, watch) for share in options.percents),
            carving.flipped(ROUTES, 100, proxy, watch_all),
            Stage("seam", carving.seam_switched("image", control), (watch_posts,)),
            *soaking.soaked(watch_posts, options.soak_s, options.patience_s),
        ),
    )


def _answers(
    options: Options, site: Site, route: Route, control: Upstream, candidate: Upstream
) -> Gate:
    """Compares images by their pixels, each by GET and by HEAD, and the answer for no image."""
    pixels = PixelsRule(_decode, options.tolerance)
    return AnswersCompared(
        lambda: _samples(options, site),
        lambda sample: ask(control.direct_url, sample),
        lambda sample: ask(candidate.direct_url, sample),
        Rules.parse(route.compare.ignore, bodies={"image/*": pixels}),
        minimum=2 * (options.samples + 1),
        patience_s=min(options.patience_s, 600.0),
    )


def _samples(options: Options, site: Site) -> Iterator[Sample]:
    """What to ask both sides: given names first, then those of the newest posts."""
    yield from _both(ABSENT)
    for name in options.image:
        yield from _both(f"/images/{quote(name)}")
    for post in carving.listed_posts(site):
        if str(post.get("image_url") or "").startswith("/images/"):
            yield from _both(post["image_url"])


def _both(target: str) -> Iterator[Sample]:
    yield Sample("GET", target)
    yield Sample("HEAD", target)


def _decode(body: bytes) -> Pixels:
    try:
        with Image.open(BytesIO(body)) as image:
            return Pixels(image.width, image.height, image.mode, image.tobytes())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise NotComparable(f"not an image: {fault}") from fault


SCRIPT = Script(
    "image",
    "Carve the image service out of the monolith, behind the running proxy.",
    EXAMPLES,
    Options,
    declare,
    no_way_back=retiring.no_way_to_the_monolith,
    order=order.of("image"),
)

if __name__ == "__main__":
    run_step_script(SCRIPT)
