"""What the step scripts share: where the site has its things, and stages that all of them have.

Opens nothing before a stage is run.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.trust import kept_from
from scripts.watching import WatchOptions
from strangler_proxy.config import Route, Upstream
from strangler_proxy.steps import Gate, Stage
from strangler_proxy.steps.gates import Health, Watch
from strangler_proxy.steps.gates.health import Checkup
from strangler_proxy.steps.gates.traffic import Unobservable
from strangler_proxy.steps.http import get_json, health_of
from strangler_proxy.steps.judgement import ErrorLimit, Faultless, Judge, P99Limit
from strangler_proxy.steps.parts import FlipRoutes, StartProcess, SwitchSeam
from strangler_proxy.steps.proxy import Proxy
from strangler_proxy.steps.script import Site, StepError

ROOT = Path(__file__).resolve().parent.parent
PAGE, MOST_PAGES = 50, 40
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - is asked at home


def service_command(name: str) -> tuple[str, ...]:
    """How a service is run."""
    return (
        "gunicorn",
        "-c",
        f"extracted/{name}/gunicorn.conf.py",
        f"extracted.{name}.app:create_app()",
    )


def python(*arguments: str) -> tuple[str, ...]:
    """A Python module as a command."""
    return (sys.executable, "-m", *arguments)


def variable(name: str, what: str) -> str:
    """A variable of the site's environment. Raises StepError when it is not set."""
    value = os.environ.get(name)
    if not value:
        raise StepError(f"{name} is not set: {what} (for scripts/up:  set -a; . var/env; set +a)")
    return value


def routes_of(site: Site, names: Iterable[str]) -> list[Route]:
    """The routes of strangler.yaml. Raises StepError where one is missing or has no candidate."""
    found = []
    for name in names:
        route = site.config.route(name)
        if route is None or route.candidate is None:
            raise StepError(f"{site.config_path} needs a route {name!r} that has a candidate")
        found.append(route)
    return found


def sides_of(site: Site, names: Iterable[str]) -> tuple[Upstream, Upstream]:
    """The control and the candidate of these routes. Raises StepError unless they share them."""
    routes = routes_of(site, names)
    if len({(route.control, route.candidate) for route in routes}) > 1:
        raise StepError(f"the routes {', '.join(names)} must have one control and one candidate")
    return (
        site.config.upstreams[routes[0].control],
        site.config.upstreams[str(routes[0].candidate)],
    )


def upstream(site: Site, name: str) -> Upstream:
    """The upstream of that name. Raises StepError when strangler.yaml has none."""
    found = site.config.upstreams.get(name)
    if found is None:
        raise StepError(f"{site.config_path} needs an upstream {name!r}")
    return found


def is_mongodb(database_url: str) -> bool:
    """Whether documents are kept there."""
    return urlsplit(database_url).scheme.partition("+")[0] == "mongodb"


def front(site: Site) -> str:
    """The proxy's own address; one that listens everywhere is asked at home."""
    address = site.config.address
    host = EVERYWHERE.get(address.host, address.host)
    scheme = "https" if site.config.tls else "http"
    return f"{scheme}://{address._replace(host=host)}"


def standing(site: Site, control: Upstream) -> Stage:
    """Nothing is begun unless the proxy runs and the monolith answers behind it."""
    target = control.health or "/health"
    at = front(site)
    return Stage("before", None, (Health(at + target, health_of(at, target), within_s=5),))


def program(
    site: Site,
    name: str,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    health: Checkup | None = None,
    *,
    stays: bool = False,
) -> StartProcess:
    """What starts a service or a worker of the site, with no secret that it has no use for."""
    return StartProcess(
        name,
        command,
        site.run_dir,
        health,
        ROOT,
        environment,
        withheld=kept_from(name),
        stays=stays,
    )


def serving(
    site: Site,
    name: str,
    candidate: Upstream,
    external: str | None,
    environment: Mapping[str, str],
    gates: Sequence[Gate] = (),
) -> Stage:
    """The service runs and is well, here or elsewhere. Raises StepError for another address."""
    if external and external.rstrip("/") != candidate.direct_url.rstrip("/"):
        raise StepError(
            f"--external says {external}, but {site.config_path} sends {name} to "
            f"{candidate.direct_url}: make upstream {name!r} the same there"
        )
    target = candidate.health or "/health"
    well = health_of(candidate.direct_url, target, name)
    proved = (Health(candidate.direct_url + target, well), *gates)
    if external:
        return Stage("service", None, proved)
    bind = {"BIND": str(candidate.origins[0].address), **environment}
    part = program(site, name, service_command(name), bind, well)
    return Stage("service", part, proved)


def watch(
    site: Site,
    proxy: Proxy,
    options: WatchOptions,
    least: Mapping[str, int],
    slow: Mapping[str, int] | None = None,
    affected: Mapping[str, str] | None = None,
    *,
    wholly: bool = False,
) -> Watch:
    """Errors and p99 of these routes, by the proxy's own counts, with so much evidence of each.

    `slow` are those whose p99 is judged: all when left out, none when empty. `affected` routes are
    watched though their own side stays: route name to the upstream that serves it. With `wholly` no
    caller is the control's any more, and one of which nothing is known counts as one that never
    failed.
    """
    judges: list[Judge] = [ErrorLimit(options.extra_errors, dict(least))]
    if timed := dict(least if slow is None else slow):
        judges.append(P99Limit(options.p99_factor, options.p99_floor_s, timed))
    return Watch(
        "traffic",
        options.watch_s,
        tuple(map(Faultless, judges) if wholly else judges),
        proxy.counts,
        {
            route.name: (route.control, str(route.candidate))
            for route in routes_of(site, [name for name in least if name not in (affected or {})])
        },
        patience_s=options.watch_s + options.patience_s,
        interval_s=min(1.0, options.watch_s / 10),
        affected=dict(affected or {}),
    )


def flipped(
    routes: tuple[str, ...], share: int, proxy: Proxy, gate: Gate, name: str | None = None
) -> Stage:
    """So many percent of callers are sent to the candidate, and watched."""
    return Stage(name or f"{share}%", FlipRoutes(routes, share, proxy), (gate,))


def seam_switched(name: str, control: Upstream) -> SwitchSeam:
    """The monolith's own calls of the capability go to the service."""
    file = Path(variable("SEAMS_FILE", "give it the value that the monolith was given"))
    return SwitchSeam(name, "remote", file.resolve(), lambda: seam_of(control.direct_url, name))


def seam_of(origin: str, name: str) -> str | None:
    """How the monolith says its seam stands; None when it does not say."""
    try:
        said = get_json(origin, "/health")
        return str(said["seams"][name])
    except (Unobservable, KeyError, TypeError):
        return None


def listed_posts(site: Site) -> Iterator[dict[str, Any]]:
    """The posts that the blog lists, newest first. Raises Unobservable."""
    for page in range(1, MOST_PAGES + 1):
        found = get_json(front(site), f"/posts?page={page}&per_page={PAGE}")
        posts = found.get("posts") if isinstance(found, dict) else None
        if not isinstance(posts, list):
            raise Unobservable("GET /posts through the proxy does not list posts")
        yield from posts
        if not posts:
            return
