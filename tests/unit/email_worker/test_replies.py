"""What each answer of a mail server means, as a table."""

from __future__ import annotations

import pytest

from extracted.chassis.events import NeverError, NotNowError
from extracted.email_worker.replies import MAX_SAID, Stage, TryAgainError, refusal, silence

MEANINGS = {
    (Stage.OPENING, 421): NotNowError,
    (Stage.OPENING, 454): NotNowError,
    (Stage.OPENING, 535): NotNowError,
    (Stage.OPENING, 554): NotNowError,
    (Stage.SENDER, 421): NotNowError,
    (Stage.SENDER, 451): NotNowError,
    (Stage.SENDER, 530): NotNowError,
    (Stage.SENDER, 552): NeverError,
    (Stage.RECIPIENT, 421): NotNowError,
    (Stage.RECIPIENT, 450): TryAgainError,
    (Stage.RECIPIENT, 550): NeverError,
    (Stage.RECIPIENT, 354): NotNowError,
    (Stage.CONTENT, 421): NotNowError,
    (Stage.CONTENT, 451): TryAgainError,
    (Stage.CONTENT, 554): NeverError,
    (Stage.CONTENT, -1): TryAgainError,
}


@pytest.mark.parametrize(("stage", "code"), MEANINGS)
def test_a_reply_means(stage: Stage, code: int) -> None:
    assert type(refusal("mail:25", stage, code, b"no")) is MEANINGS[stage, code]


@pytest.mark.parametrize("stage", Stage)
def test_silence_is_everybodys_unless_the_mail_may_have_been_taken(stage: Stage) -> None:
    expected = TryAgainError if stage is Stage.CONTENT else NotNowError
    assert type(silence("mail:25", stage, "timed out")) is expected


def test_it_is_told_who_said_what_without_the_address_and_on_one_line() -> None:
    said = b"5.1.1 <ann@example.org>: Recipient\r\naddress \xff rejected; to:ann@example.org"
    assert str(refusal("mail:25", Stage.RECIPIENT, 550, said)) == (
        "The mail server mail:25 answers at the recipient: 550 5.1.1 <…>: Recipient address"
        " � rejected; …."
    )
    assert len(str(refusal("mail:25", Stage.RECIPIENT, 550, b"x" * 9000))) < MAX_SAID + 100
