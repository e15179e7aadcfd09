"""What the Stripe double remembers: intents, charges and the answers given under each key.

An intent, its charge and its saved answer are committed together, so that a kill at any moment
leaves either all of a payment or nothing of it. Opens one SQLite file; knows nothing of HTTP.
"""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, key)
);
"""

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body."""

    status: int
    body: JsonObject


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """The first answer under an idempotency key, and the fingerprint of what was asked."""

    fingerprint: str
    answer: Answer


class Ledger:
    """The double's durable memory; to be used from one thread, and closed."""

    def __init__(self, directory: Path) -> None:
        self._database = sqlite3.connect(directory / "stripe.sqlite3", isolation_level=None)
        # WAL with NORMAL loses nothing to a killed process, only to a power cut.
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def saved(self, account: str, key: str) -> SavedAnswer | None:
        """Return the answer saved under a key, or None."""
        row = self._database.execute(
            "SELECT fingerprint, status, body FROM answers WHERE account = ? AND key = ?",
            (account, key),
        ).fetchone()
        return SavedAnswer(row[0], Answer(row[1], json.loads(row[2]))) if row else None

    def record(
        self,
        objects: list[JsonObject],
        answer: Answer,
        *,
        account: str,
        key: str | None,
        fingerprint: str,
    ) -> None:
        """Commit the objects of one request, and its answer if it came with a key."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(
                "INSERT INTO objects (id, kind, body) VALUES (?, ?, ?)",
                [(each["id"], each["object"], json.dumps(each)) for each in objects],
            )
            if key is not None:
                self._database.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
                    (account, key, fingerprint, answer.status, json.dumps(answer.body)),
                )
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def replace(self, objects: list[JsonObject]) -> None:
        """Commit what has become of objects that are there."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "UPDATE objects SET body = ? WHERE id = ?",
                [(json.dumps(each), each["id"]) for each in objects],
            )

    def find(self, kind: str, identifier: str) -> JsonObject | None:
        """Return one object, or None."""
        row = self._database.execute(
            "SELECT body FROM objects WHERE kind = ? AND id = ?", (kind, identifier)
        ).fetchone()
        return dict(json.loads(row[0])) if row else None

    def page(
        self, kind: str, *, limit: int, starting_after: str | None
    ) -> tuple[list[JsonObject], bool]:
        """Return objects of a kind, newest first, after one of them; and whether more follow."""
        rows = self._database.execute(
            "SELECT body FROM objects WHERE kind = ? AND number < coalesce("
            "(SELECT number FROM objects WHERE id = ?), 9223372036854775807)"
            " ORDER BY number DESC LIMIT ?",
            (kind, starting_after, limit + 1),
        ).fetchall()
        return [json.loads(row[0]) for row in rows[:limit]], len(rows) > limit
