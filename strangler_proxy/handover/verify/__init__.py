"""Are both sides of a move the same? Asked of the databases; knows nothing of the copier.

`verify` sums a digest of every row, chunk by chunk, inside both databases at the same time, and
halves what differs down to rows, which it then compares value by value. Rows missing at the target
and rows too many there are both found, since both sides are read whole.

What it sees is each value's canonical text (see databases.canonical). What it cannot see:

- values that the canonical text takes for one: 1.50 and 1.5, minus zero and zero, CHAR(n) with and
  without its padding, JSON that means the same, a moment in two time zones, bytes in a SQLite
  column of text; between two PostgreSQL servers jsonb and numbers are equal as it says itself;
- columns that the move does not have, and what is no row: ids of sequences, indexes, constraints,
  defaults, grants;
- what triggers of the target did beside the rows of the moved tables, and rows that a constraint of
  the target alone would refuse tomorrow;
- that a key is another key for one side's collation ('a' and 'A' where it ignores case): keys are
  compared by their bytes, and a row is missing where such a collation made two rows one;
- bytes in MySQL over half of its max_allowed_packet: those count as different from any other
  database's, whatever they are, and are compared by MD5 within MySQL;
- two different rows of one digest: 60 bits of MD5, or 64 of PostgreSQL's own hash where both sides
  are PostgreSQL. Neither withstands somebody who makes rows to collide;
- a moment: each chunk is read at its own time. While writes go on, a row that was seen to differ is
  looked at again until nothing explains it (see recheck); a row that differed for a while between
  two looks, and was put right, is never heard of.

It costs a whole read of both tables. Keys that both sides are sure to order alike (integers; dates,
decimals and moments outside SQLite; UUIDs between two PostgreSQL servers) are read in ranges of the
first key column. Others, texts above all, are summed in one scan a table by a digest of the key,
which no collation touches: give that scan the time (`statement_s`), and expect one more scan, or
several, where rows differ. JSON that stands differently in MySQL and in a jsonb column differs in
every row's digest, so that each row is fetched from both sides and compared here.
"""

from strangler_proxy.handover.verify.recheck import Pending
from strangler_proxy.handover.verify.repair import repair
from strangler_proxy.handover.verify.report import Difference, Report
from strangler_proxy.handover.verify.verify import Limits, Verifier, verify

__all__ = [
    "Difference",
    "Limits",
    "Pending",
    "Report",
    "Verifier",
    "repair",
    "verify",
]
