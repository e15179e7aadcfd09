"""What the model is asked: what must hold, what must be refuted, and by which invariant.

A model that cannot fail proves nothing. So each guard of the protocol is taken out once, and the
invariants must see it; and what the protocol is for must be seen to happen.
"""

from dataclasses import dataclass, field

# One cut-over, one write of each writer, one kill: what most faults need.
ONE_RUN = {"RUNS": 1, "STEPS_BACK": 0}

# What the broken variants are caught by, as pan writes it.
TWO_SIDES = "!((((0=="  # never_two_sides where a fence is missing altogether
BOTH_OPEN = "!((((fence[0]"
OUTAGE = "fence[file]"
LOST = "==accepted"
TWICE = "!((accepted&"
CLIENT_ERROR = "overrun"
STUCK = "invalid end state"
STALE_IDS = "numbered["
LOOP = "entries[0]==0"
CLAIM = "at depth"  # whatever it is: only the claim differs from a model that holds


@dataclass(frozen=True, slots=True)
class Question:
    """A configuration of the model, and what must come out.

    `refuted_by` is part of what pan says of the error that it must find; None: it must find none.
    `cycles`: search for runs that never end, instead of bad states.
    """

    name: str
    defines: dict[str, int | None] = field(default_factory=dict)
    refuted_by: str | None = None
    cycles: bool = False


def _holds(name: str, /, *flags: str, **sizes: int) -> Question:
    return Question(name, {**sizes, **dict.fromkeys(flags)})


def _ends(name: str, /, **sizes: int) -> Question:
    return Question(name, {**sizes}, cycles=True)


def _caught(refuted_by: str, name: str, /, *flags: str, **sizes: int) -> Question:
    return Question(name, {**sizes, **dict.fromkeys(flags)}, refuted_by)


SMALL = (
    _holds("one cut-over, the mover killed once", **ONE_RUN),
    _holds("there and back", RUNS=2, CRASHES=0, STEPS_BACK=0),
    _holds("no client sees an error, the mover killed once", "TIMED", RUNS=1),
)

USUAL = (
    _holds("there and back, the mover killed once", RUNS=2, STEPS_BACK=0),
    _ends("every run ends", BYPASSES=0, **ONE_RUN),
    _holds("a clock steps back under a fence", RUNS=1),
    _holds("no client sees an error, the mover killed once", "TIMED", RUNS=1),
    _holds("a worker answers 504 and the application goes on", "GIVES_UP", **ONE_RUN),
    _holds("a client changes workers", "ANY_WORKER", **ONE_RUN),
    _holds("both sides have a bypassing writer", "BYPASS_EITHER_SIDE", **ONE_RUN),
    _holds("two writes of each client", WRITES=2, CRASHES=0, **ONE_RUN),
)

LARGE = (
    _holds("there and back, a kill and a clock that steps back"),
    _holds("there and back without a client's error, the mover killed once", "TIMED"),
    _holds("somebody flips the route by hand", "FLIPPED_BY_HAND", **ONE_RUN),
    _holds("the mover killed twice", CRASHES=2, **ONE_RUN),
    _holds("there, back and there again", RUNS=3, CRASHES=0, STEPS_BACK=0),
)

CLAIMS = (
    _caught(CLAIM, "never done and rolled back", "CLAIM_NEVER_ROLLED_BACK", CRASHES=0),
    _caught(CLAIM, "never undone and then done", "CLAIM_NEVER_UNDONE_THEN_DONE", CRASHES=0),
    _caught(CLAIM, "never taken up by the next mover", "CLAIM_NEVER_TAKEN_UP", RUNS=1),
    _caught(CLAIM, "never left shut by a dead mover", "CLAIM_NEVER_SHUT", RUNS=1),
)

BROKEN = (
    _caught(TWO_SIDES, "no fence on the old tables", "NO_FENCE", **ONE_RUN),
    _caught(
        LOST, "no fence on the new tables", "NO_CANDIDATE_FENCE", "LOSSES_ONLY", RUNS=1, CRASHES=0
    ),
    _caught(LOST, "the tail keeps a high-water mark", "HIGH_WATER_MARK", RUNS=1, CRASHES=0),
    _caught(LOST, "flipped before drained", "FLIP_BEFORE_DRAINED", **ONE_RUN),
    _caught(LOST, "who passed the fence is not waited for", "OPEN_TRANSACTIONS_IGNORED", **ONE_RUN),
    _caught(
        LOST, "decided blind to entries, the clock stepped back", "DECIDED_WITHOUT_ENTRIES", RUNS=1
    ),
    _caught(
        LOST,
        "decided blind to entries and clock",
        *("DECIDED_WITHOUT_CLOCK", "DECIDED_WITHOUT_ENTRIES"),
        **ONE_RUN,
    ),
    _caught(BOTH_OPEN, "the permanent fence comes last", "PERMANENT_LAST", RUNS=1, CRASHES=0),
    _caught(OUTAGE, "the permanent fence comes last, a kill before", "PERMANENT_LAST", **ONE_RUN),
    _caught(BOTH_OPEN, "started again, it believes the ledger", "RESUMED_BY_LEDGER", **ONE_RUN),
    _caught(BOTH_OPEN, "a dead mover's opening comes late", "LATE_OPENING", **ONE_RUN),
    _caught(LOST, "a dead mover's copy of a row comes late", "LATE_APPLY", **ONE_RUN),
    _caught(LOST, "entries removed before rows commit", "REMOVED_BEFORE_APPLIED", **ONE_RUN),
    _caught(LOST, "every entry is removed", "EVERY_ENTRY_REMOVED", **ONE_RUN),
    _caught(LOST, "rows are read before entries", "ROW_READ_FIRST", **ONE_RUN),
    _caught(LOOP, "the mover's own writes are captured", "MOVER_CAPTURED", CRASHES=0),
    _caught(LOST, "reverse capture comes after the opening", "REVERSE_LATE", RUNS=1),
    _caught(STALE_IDS, "sequences are forgotten", "SEQUENCES_FORGOTTEN", RUNS=1),
    _caught(TWICE, "a parked request is sent twice", "SENT_TWICE", RUNS=1),
    _caught(STUCK, "the fence never lifts", "FENCE_NEVER_LIFTS", RUNS=1),
    _caught(STUCK, "the hold never expires", "HOLD_NEVER_EXPIRES", RUNS=1),
    *(
        _caught(CLIENT_ERROR, name, "TIMED", flag, RUNS=1, CRASHES=0)
        for name, flag in (
            ("a worker's hold is not waited for", "NO_HOLD_ACK"),
            ("the writes in flight are not waited for", "IN_FLIGHT_IGNORED"),
            ("the fence outlasts the hold", "HOLD_SHORTER_THAN_FENCE"),
            ("decided after the hold has run out", "DECIDED_WITHOUT_CLOCK"),
            ("the flip is not confirmed", "FLIP_UNCONFIRMED"),
            ("released before the new tables are opened", "RELEASED_BEFORE_OPENED"),
            ("released before the old fence is lifted", "RELEASED_BEFORE_LIFTED"),
        )
    ),
)
