"""How a step that flips routes watches them: what a team may set in all of those steps."""

from dataclasses import dataclass

from scripts import soaking
from strangler_proxy.steps.options import option, percent, positive


@dataclass(frozen=True)
class WatchOptions:
    """The defaults are for production."""

    external: str | None = option(
        None, "the service is run elsewhere, at this URL: do not start it", metavar="URL"
    )
    watch_s: float = option(600.0, "seconds to watch after each flip", parse=positive)
    patience_s: float = option(
        3600.0, "seconds that a gate may wait for evidence before the step stops", parse=positive
    )
    extra_errors: float = option(
        0.01, "errors a request, above the control's, that are tolerated", parse=percent
    )
    p99_factor: float = option(2.0, "tolerated p99, in times of the control's", parse=positive)
    p99_floor_s: float = option(0.25, "a p99 below this is tolerated anyhow", parse=positive)
    soak_s: float = soaking.soak_s()
