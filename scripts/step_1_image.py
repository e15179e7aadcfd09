#!/bin/sh
"""exec" "$(dirname "$0")/lib/python" "$0" "$@"

Step 1: carve the image service out of the monolith. The line above is for the shell, which reads
it as a command: it makes the project's environment, and runs this file in it. Python takes it
for the docstring that it is. Importing this module does nothing.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from strangler_proxy.compare import NotComparable, Pixels, PixelsRule, Rules
from strangler_proxy.config import Route, Upstream
from strangler_proxy.steps import Gate, Stage, Step
from strangler_proxy.steps.gates import AnswersCompared, Health, Sample, Watch
from strangler_proxy.steps.gates.traffic import Unobservable
from strangler_proxy.steps.http import ask, get_json, health_of
from strangler_proxy.steps.judgement import ErrorLimit, P99Limit
from strangler_proxy.steps.options import count, option, percent, percents, positive
from strangler_proxy.steps.parts import FlipRoutes, StartProcess, SwitchSeam
from strangler_proxy.steps.proxy import Proxy
from strangler_proxy.steps.script import Script, Site, StepError, run_step_script

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ("gunicorn", "-c", "extracted/image/gunicorn.conf.py", "extracted.image.app:create_app()")
ROUTES = ("image", "upload")
AFFECTED = "post-create"
ABSENT = "/images/no-image-has-this-name.jpg"
PAGE, MOST_PAGES = 50, 40

EXAMPLES = """\
  scripts/step_1_image.py                       the plan
  scripts/step_1_image.py --execute             run it; thresholds for a day's watch on live traffic
  scripts/step_1_image.py --execute --watch-s 5 --min-requests 40 --min-uploads 2 \\
      --extra-errors 10% --p99-floor-s 1        the same in a minute, for a rehearsal
  scripts/step_1_image.py --status              where it stands
  scripts/step_1_image.py --undo                everything back to the monolith"""


@dataclass(frozen=True)
class Options:
    """What a team may set; the defaults are for production."""

    external: str | None = option(
        None, "the service is run elsewhere, at this URL: do not start it", metavar="URL"
    )
    percents: tuple[int, ...] = option(
        (5, 25, 50), "callers to send to the candidate, before all", parse=percents
    )
    watch_s: float = option(600.0, "seconds to watch after each flip", parse=positive)
    patience_s: float = option(
        3600.0, "seconds that a gate may wait for evidence before the step stops", parse=positive
    )
    min_requests: int = option(500, "images the candidate must serve in each watch", parse=count)
    min_uploads: int = option(
        20, "uploads, and at last posts, that must be seen in each watch", parse=count
    )
    extra_errors: float = option(
        0.01, "errors a request, above the control's, that are tolerated", parse=percent
    )
    p99_factor: float = option(2.0, "tolerated p99, in times of the control's", parse=positive)
    p99_floor_s: float = option(0.25, "a p99 below this is tolerated anyhow", parse=positive)
    samples: int = option(50, "images whose answers are compared before any flip", parse=count)
    tolerance: int = option(
        0, "how far a channel of a pixel may be off, 0 to 255", parse=int, metavar="LEVELS"
    )
    image: tuple[str, ...] = option(
        (), "name of an image to compare, beside those of GET /posts (repeatable)", many=True
    )


def declare(options: Options, site: Site) -> Step:
    """The image step as it runs on this site. Opens nothing. Raises StepError."""
    route = _routes(site)[0]
    control, candidate = _upstream(site, route.control), _upstream(site, str(route.candidate))
    if options.external and options.external.rstrip("/") != candidate.direct_url.rstrip("/"):
        raise StepError(
            f"--external says {options.external}, but {site.config_path} sends images to "
            f"{candidate.direct_url}: make upstream {route.candidate!r} the same there"
        )
    proxy = Proxy(site.config_path)
    return Step(
        "image",
        "Step 1: the image service takes over POST /upload and GET /images/<name>",
        (
            _standing(site, control),
            _serving(options, site, candidate, _answers(options, site, route)),
            *(_flipped(options, site, proxy, share) for share in (*options.percents, 100)),
            Stage(
                "seam",
                SwitchSeam("image", "remote", _seams_file(), lambda: _seam(control.direct_url)),
                (_watch(options, site, proxy, affected={AFFECTED: route.control}),),
            ),
        ),
    )


def _standing(site: Site, control: Upstream) -> Stage:
    """Nothing is begun unless the proxy runs and the monolith answers behind it."""
    target = control.health or "/health"
    front = _front(site)
    return Stage("before", None, (Health(front + target, health_of(front, target), within_s=5),))


def _serving(options: Options, site: Site, candidate: Upstream, answers: Gate) -> Stage:
    health_url = candidate.direct_url + (candidate.health or "/health")
    well = health_of(candidate.direct_url, candidate.health or "/health", "image")
    gates = (Health(health_url, well), answers)
    if options.external:
        return Stage("service", None, gates)
    bind = {"BIND": str(candidate.origins[0].address)}
    part = StartProcess("image", COMMAND, site.run_dir, well, cwd=ROOT, environment=bind)
    return Stage("service", part, gates)


def _flipped(options: Options, site: Site, proxy: Proxy, share: int) -> Stage:
    flip = FlipRoutes(ROUTES, share, proxy)
    return Stage(f"{share}%", flip, (_watch(options, site, proxy),))


def _watch(
    options: Options, site: Site, proxy: Proxy, affected: dict[str, str] | None = None
) -> Watch:
    least = dict(zip(ROUTES, (options.min_requests, options.min_uploads), strict=True))
    all_least = least | dict.fromkeys(affected or {}, options.min_uploads)
    return Watch(
        "traffic",
        options.watch_s,
        (
            ErrorLimit(options.extra_errors, all_least),
            P99Limit(options.p99_factor, options.p99_floor_s, least),
        ),
        proxy.counts,
        {route.name: (route.control, str(route.candidate)) for route in _routes(site)},
        patience_s=options.watch_s + options.patience_s,
        interval_s=min(1.0, options.watch_s / 10),
        affected=affected or {},
    )


def _answers(options: Options, site: Site, route: Route) -> AnswersCompared:
    """Compares images by their pixels, each by GET and by HEAD, and the answer for no image."""
    control, candidate = _upstream(site, route.control), _upstream(site, str(route.candidate))
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
    for page in range(1, MOST_PAGES + 1):
        found = get_json(_front(site), f"/posts?page={page}&per_page={PAGE}")
        posts = found.get("posts") if isinstance(found, dict) else None
        if not isinstance(posts, list):
            raise Unobservable("GET /posts through the proxy does not list posts")
        for post in posts:
            if str(post.get("image_url") or "").startswith("/images/"):
                yield from _both(post["image_url"])
        if not posts:
            return


def _both(target: str) -> Iterator[Sample]:
    yield Sample("GET", target)
    yield Sample("HEAD", target)


def _decode(body: bytes) -> Pixels:
    try:
        with Image.open(BytesIO(body)) as image:
            return Pixels(image.width, image.height, image.mode, image.tobytes())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise NotComparable(f"not an image: {fault}") from fault


def _seam(origin: str) -> str | None:
    """How the monolith says its image seam stands; None when it does not say."""
    try:
        said = get_json(origin, "/health")
        return str(said["seams"]["image"])
    except (Unobservable, KeyError, TypeError):
        return None


def _seams_file() -> Path:
    path = os.environ.get("SEAMS_FILE")
    if not path:
        raise StepError(
            "SEAMS_FILE is not set: give it the value that the monolith was given "
            "(for scripts/up:  set -a; . var/env; set +a)"
        )
    return Path(path).resolve()


def _routes(site: Site) -> list[Route]:
    routes = [site.config.route(name) for name in ROUTES]
    for name, route in zip(ROUTES, routes, strict=True):
        if route is None or route.candidate is None:
            raise StepError(f"{site.config_path} needs a route {name!r} that has a candidate")
    return [route for route in routes if route]


def _upstream(site: Site, name: str) -> Upstream:
    return site.config.upstreams[name]


def _front(site: Site) -> str:
    """The proxy's own address; one that listens everywhere is asked at home."""
    address = site.config.address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    scheme = "https" if site.config.tls else "http"
    return f"{scheme}://{address._replace(host=host)}"


SCRIPT = Script(
    "image",
    "Carve the image service out of the monolith, behind the running proxy.",
    EXAMPLES,
    Options,
    declare,
)

if __name__ == "__main__":
    run_step_script(SCRIPT)
