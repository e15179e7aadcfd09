"""One text for a value, the same bytes in every database: what checksums are made of.

`value_sql` is the text of one value as SQL, `text_of` the same in Python; `row_sql` and `row_text`
give the text of a row. By kind:

- integer, boolean (0, 1): digits. Decimal: without zeros at its end, so 1.50 is 1.5: numbers are
  equal when they are the same number, whatever the scale of their columns;
- float: `DeE`, the shortest digits that stand for the double, without zeros at either end, and a
  power of ten: 1234.5 is 12345e-1, minus zero is 0. Four-byte numbers count as the doubles that
  they are: 0.1 in a `real` is not 0.1 in a `double`. Beyond 2**53 PostgreSQL's digits are for some
  numbers not those of the others, so the texts differ where `same` finds one number;
- text: itself; without the spaces at its end where one side is CHAR(n) (`padded`);
- binary: hexadecimal. UUID: lower case, with hyphens;
- timestamp (UTC), date, time: ISO 8601 with a space, a fraction of a second without zeros at its
  end. PostgreSQL's infinity, BC and years over 9999 stay as it writes them: no other has them;
- JSON: where both sides can spell it as PostgreSQL spells jsonb (`jsonb`), that; else the text as
  it stands, and `same` compares what it means.

SQLite keeps any type in any column: what is not of its column's kind becomes `?` and its bytes in
hexadecimal, equal to nothing elsewhere; but bytes in a column of text count as that text.

A row's text joins its values so that no two rows share one: `length:text|` where a value may hold
anything or be empty (the length in bytes of UTF-8), `text|` otherwise; NULL is `:|` and `|`.

What must be so before: a PostgreSQL session has run SESSION and its database is UTF-8; a SQLite
session has registered SQLITE_FUNCTIONS.
"""

from strangler_proxy.handover.databases.canonical.spelling import FREE_KINDS, PLAIN, Spelling
from strangler_proxy.handover.databases.canonical.sqlite import SQLITE_FUNCTIONS
from strangler_proxy.handover.databases.canonical.statements import SESSION, row_sql, value_sql
from strangler_proxy.handover.databases.canonical.texts import jsonb_text, row_text, same, text_of

__all__ = [
    "FREE_KINDS",
    "PLAIN",
    "SESSION",
    "SQLITE_FUNCTIONS",
    "Spelling",
    "jsonb_text",
    "row_sql",
    "row_text",
    "same",
    "text_of",
    "value_sql",
]
