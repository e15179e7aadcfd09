"""What a mail server's reply, or the want of one, means for the event behind the mail. Pure.

| it happens                   | reply 421 | reply 4xx | reply 5xx | no reply  |
|------------------------------|-----------|-----------|-----------|-----------|
| until the sender is taken    | not now   | not now   | not now   | not now   |
| at the recipient             | not now   | try again | never     | not now   |
| at the content               | not now   | try again | never     | try again |

What comes before the recipient is the same for every mail, and so everything waits; but a 552 is
about the size of this one, and means never. A 5xx says that the same again would not help (RFC
5321, 4.2.1). A broken end of the content is a try that failed: the server may have taken the mail
and been slow to say so, and then each further try is one more copy of it.
"""

from __future__ import annotations

import re
from enum import Enum

from extracted.chassis.events import NeverError, NotNowError

SHUTTING_DOWN, TOO_LARGE = 421, 552
MAX_SAID = 300
ADDRESS = re.compile(r"[^\s<>@]+@[^\s<>@]+")


class TryAgainError(Exception):
    """This mail was not taken this time; others may be, and another time this one may."""


class Stage(Enum):
    """What a conversation was at."""

    OPENING = "before any mail"
    SENDER = "at the sender"
    RECIPIENT = "at the recipient"
    CONTENT = "at the content"


def refusal(server: str, stage: Stage, code: int, said: bytes) -> Exception:
    """What to raise for a reply that is not the one wanted: one of the three errors."""
    if not 400 <= code <= 599:
        return silence(server, stage, f"its answer begins with {code}")
    told = f"The mail server {server} answers {stage.value}: {code} {_without_addresses(said)}."
    if stage is Stage.SENDER and code == TOO_LARGE:
        return NeverError(told)  # the one thing about a mail that a server may judge so early
    if code == SHUTTING_DOWN or stage in (Stage.OPENING, Stage.SENDER):
        return NotNowError(told)
    return NeverError(told) if code >= 500 else TryAgainError(told)


def silence(server: str, stage: Stage, why: str) -> Exception:
    """What to raise when the conversation broke off."""
    told = f"The mail server {server} cannot be talked to {stage.value}: {why.rstrip('.')}."
    return TryAgainError(told) if stage is Stage.CONTENT else NotNowError(told)


def _without_addresses(said: bytes) -> str:
    """What a server said, for logs and dead letters: they are kept longer than addresses may be."""
    text = " ".join(said.decode(errors="replace").split())
    return ADDRESS.sub("…", text)[:MAX_SAID].rstrip(".")
