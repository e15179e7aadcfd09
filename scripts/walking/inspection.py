"""The whole audit: reads every place once the traffic has ended, and judges what it holds."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from scripts.walking import places
from scripts.walking.audit import Finding, audit_charges, audit_letters, audit_rows
from scripts.walking.client import Client, Scene, WrongAnswerError
from scripts.walking.places import Holdings

# The column in which a place shows a row's mark, where it does.
MARKS = {"user": "email", "post": "title", "comment": "body", "payment": "idempotency_key"}
HIDDEN = {("proxy", "user"), ("proxy", "payment")}
# What has its own database once its step is done. The monolith's tables follow all the same.
OWN = {"auth": ("user",), "posts": ("post", "comment"), "payment": ("payment",)}


def inspect(
    scene: Scene,
    environ: Mapping[str, str],
    mail: Path,
    tokens: list[str],
    moved: Collection[str] = (),
    *,
    retired: bool = False,
    mailed_again: int = 0,
) -> Iterator[Finding]:
    """Yield every broken promise, place by place.

    `moved` are capabilities that left with data; `retired`: nothing is carried back any more.
    `mailed_again` mails may have come twice under one Message-ID: a worker was killed so often.
    """
    journal = scene.journal
    client = Client(scene, "auditor")
    try:
        yield from _rows(scene, places.through_the_proxy(client, journal, tokens))
    except WrongAnswerError as wrong:
        yield Finding("wrong", "proxy", wrong.failure.request, wrong.failure.problem)
    finally:
        client.close()
    if not retired:
        yield from _rows(scene, places.in_a_database("database", environ["DATABASE_URL"]))
    for name in moved:
        url = environ[f"{name.upper()}_DATABASE_URL"]
        yield from _rows(scene, places.in_a_database(f"{name} database", url, OWN[name]))
    yield from _rows(scene, places.in_the_bucket(environ, journal))
    payments = journal.rows("payment")
    yield from audit_charges(payments, places.charges_made(environ))
    letters = places.letters_delivered(mail)
    posts, users = journal.rows("post"), journal.rows("user")
    yield from audit_letters(posts, payments, users, letters, mailed_again)


def _rows(scene: Scene, holdings: Holdings) -> Iterator[Finding]:
    for kind, held in holdings.rows.items():
        mark = None if (holdings.place, kind) in HIDDEN else MARKS.get(kind)
        yield from audit_rows(holdings.place, scene.journal.rows(kind), held, mark)
