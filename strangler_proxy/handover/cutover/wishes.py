"""What whoever asks for a cut-over may wish for."""

from dataclasses import dataclass, field

from strangler_proxy.handover.writers import KnownWriters


@dataclass(frozen=True, slots=True)
class Wishes:
    """How long things may take, in seconds.

    `drain_s`: requests sent before the hold; `writers_s`: transactions under way when the fence
    comes up. `skew_s`: what clocks may be wrong by. `small`: entries that a step of the tail may
    still find when the hold is asked for. `whole`: verify both sides whole before it. `margin`:
    ids that may be given between the numbering before the hold and the one under it.

    Whoever bypasses a proxy is looked for in a rehearsal of the hold of `rehearsal_s` (0: none),
    and again until the fence is up; `writers` are those that are expected. With `despite_writers`
    there is no rehearsal, and who is found is a warning only.
    """

    hold_s: float = 2.0
    drain_s: float = 1.0
    writers_s: float = 0.5
    skew_s: float = 0.2
    catch_up_s: float = 60.0
    small: int = 100
    margin: int = 1_000
    whole: bool = True
    rehearsal_s: float = 0.5
    writers: KnownWriters = field(default_factory=KnownWriters)
    despite_writers: bool = False
