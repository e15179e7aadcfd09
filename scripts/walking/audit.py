"""Holds what each place has against what the clients were promised. Pure: opens and asks nothing.

It cannot see a write that was carried out twice with the same effect (a repeated edit or delete),
nor the order in which rows were written.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.walking.journal import Facts, Row, agrees

EVER = math.inf


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise: `kind` is lost, duplicated, wrong or unexpected."""

    kind: str
    place: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge that the card company made: for which intent, how much, and for which payment."""

    intent: str
    amount: int
    currency: str
    paid: bool
    payment_id: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that was delivered: to whom, what it says, and its Message-ID."""

    to: str
    subject: str
    text: str
    message_id: str = ""


def audit_rows(
    place: str, rows: Sequence[Row], held: Iterable[Facts], mark: str | None
) -> Iterator[Finding]:
    """Compare what clients wrote with what a place holds, both ways.

    `held` are the place's rows with their `id`; `mark` is the column that shows a row's mark, or
    None when the place does not show it: then as many strange rows are allowed as are in doubt.
    """
    by_id: dict[Any, Facts] = {}
    for seen in held:
        if seen["id"] in by_id:
            yield Finding("duplicated", place, f"id {seen['id']}", "it is listed twice")
        by_id[seen["id"]] = seen
    known = {row.id for row in rows if row.id is not None}
    for row in rows:
        if row.id is not None:
            yield from _judge(place, row, by_id.get(row.id))
    promised = {row.mark: row for row in rows}
    in_doubt: set[str] = set()
    nameless = sum(row.id is None and row.options(EVER, EVER) != [None] for row in rows)
    for identifier, seen in by_id.items():
        if identifier in known:
            continue
        row_of_mark = promised.get(str(seen.get(mark))) if mark else None
        what = f"{rows[0].kind if rows else 'row'} {identifier}"
        if mark is None and nameless > 0:
            nameless -= 1
        elif row_of_mark is None:
            yield Finding("unexpected", place, what, f"no client wrote it: {_shown(seen)}")
        elif row_of_mark.id is not None or row_of_mark.mark in in_doubt:
            detail = f"a second one like {row_of_mark.id}: the request was carried out twice"
            yield Finding("duplicated", place, what, f"{detail}: {_shown(seen)}")
        elif row_of_mark.options(EVER, EVER) == [None]:
            yield Finding("unexpected", place, what, f"it was refused: {_shown(seen)}")
        else:
            in_doubt.add(row_of_mark.mark)


def _judge(place: str, row: Row, seen: Facts | None) -> Iterator[Finding]:
    what = f"{row.kind} {row.id}"
    options = row.options(EVER, EVER)
    if seen is None:
        if None not in options:
            yield Finding("lost", place, what, f"acknowledged, and not there: {row.mark}")
        return
    wanted = [facts for facts in options if facts is not None]
    if not wanted:
        yield Finding("unexpected", place, what, f"deleted, and still there: {_shown(seen)}")
    elif not any(agrees(facts, seen) for facts in wanted):
        detail = f"it should be {_shown(wanted[-1])} and is {_shown(seen)}"
        yield Finding("wrong", place, what, detail)


def audit_charges(payments: Sequence[Row], charges: Sequence[Charge]) -> Iterator[Finding]:
    """Check that each acknowledged payment was charged exactly once, and nothing else was."""
    place = "stripe"
    paid = Counter(charge.intent for charge in charges if charge.paid)
    by_payment = Counter(charge.payment_id for charge in charges if charge.paid)
    owed: set[str] = set()
    for row in payments:
        for facts in row.options(EVER, EVER):
            if facts is None or row.id is None or facts["status"] != "succeeded":
                continue
            owed.add(facts["stripe_id"])
            yield from _judge_charge(row, facts, charges, paid)
    in_doubt = sum(row.id is None and row.options(EVER, EVER) != [None] for row in payments)
    strangers = [each for each in charges if each.paid and each.intent not in owed]
    known = {str(row.id) for row in payments if row.id is not None}
    for charge in strangers:
        if charge.payment_id in known:
            detail = f"{by_payment[charge.payment_id]} charges for one payment: {charge}"
            yield Finding("duplicated", place, f"payment {charge.payment_id}", detail)
        elif in_doubt > 0:
            in_doubt -= 1
        else:
            yield Finding("unexpected", place, charge.intent, f"nobody was promised it: {charge}")


def _judge_charge(
    row: Row, facts: Facts, charges: Sequence[Charge], paid: Mapping[str, int]
) -> Iterator[Finding]:
    what, intent = f"payment {row.id}", facts["stripe_id"]
    if paid.get(intent, 0) == 0:
        yield Finding("lost", "stripe", what, f"acknowledged as paid, and {intent} has no charge")
    elif paid[intent] > 1:
        yield Finding("duplicated", "stripe", what, f"{paid[intent]} charges for {intent}")
    for charge in charges:
        asked = (facts["amount"], facts["currency"])
        if charge.paid and charge.intent == intent and (charge.amount, charge.currency) != asked:
            yield Finding("wrong", "stripe", what, f"asked for {asked}, charged {charge}")


def audit_letters(
    posts: Sequence[Row],
    payments: Sequence[Row],
    users: Sequence[Row],
    letters: Sequence[Letter],
    again: int = 0,
) -> Iterator[Finding]:
    """Check that each post and each payment has had one mail, to its author or payer.

    So many mails may have come `again` under their Message-ID: a worker that is killed when the
    mail server has taken one, and before that is noted, sends it once more.
    """
    letters = _once(letters, again)
    address = {row.id: row.mark for row in users}
    wanted: dict[tuple[str, str], str] = {}
    doubtful: set[str] = set()
    for row in posts:
        first = row.changes[0]
        if row.id is None:
            doubtful.add(f"Published: {row.mark}")
        elif first.facts is not None:
            to = address[first.facts["author_id"]]
            wanted[to, f"/posts/{row.id}."] = f"post {row.id}"
    for row in payments:
        facts = row.changes[0].facts
        if row.id is not None and facts is not None and facts["status"] == "succeeded":
            wanted[address[facts["user_id"]], f"Payment {row.id}, "] = f"payment {row.id}"
    come: Counter[tuple[str, str]] = Counter()
    payments_in_doubt = any(row.id is None for row in payments)
    for letter in letters:
        about = _about(letter)
        if about is not None and (letter.to, about) in wanted:
            come[letter.to, about] += 1
        elif letter.subject not in doubtful and not (
            payments_in_doubt and letter.subject.startswith("Receipt")
        ):
            yield Finding("unexpected", "mail", f"to {letter.to}", letter.subject)
    for key, what in wanted.items():
        if come[key] == 0:
            yield Finding("lost", "mail", what, f"no mail to {key[0]} says {key[1]!r}")
        elif come[key] > 1:
            yield Finding("duplicated", "mail", what, f"{come[key]} mails to {key[0]}")


def _once(letters: Sequence[Letter], again: int) -> list[Letter]:
    """Without the first `again` that came under the Message-ID of an earlier one."""
    kept: list[Letter] = []
    seen: set[tuple[str, str]] = set()
    for letter in letters:
        key = (letter.to, letter.message_id)
        if letter.message_id and key in seen and again > 0:
            again -= 1
        else:
            kept.append(letter)
        seen.add(key)
    return kept


def _about(letter: Letter) -> str | None:
    """Return the words by which a letter names its post or payment."""
    for start, end in (("/posts/", "."), ("Payment ", ", ")):
        _, found, rest = letter.text.partition(start)
        number = rest.partition(end)[0]
        if found and number.isdigit():
            return f"{start}{number}{end}"
    return None


def _shown(facts: Facts) -> str:
    parts = (f"{name}={str(value)[:60]!r}" for name, value in facts.items())
    return ", ".join(parts)
