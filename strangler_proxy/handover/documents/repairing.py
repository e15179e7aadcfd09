"""Make what differs what it is at the source, by carrying it as if it had changed."""

from collections.abc import Callable, Sequence

from strangler_proxy.handover.databases.port import Database, Pair, Row
from strangler_proxy.handover.documents.back import RowTail
from strangler_proxy.handover.documents.looking import Suspect
from strangler_proxy.handover.documents.tail import DocumentTail
from strangler_proxy.handover.documents.verifying import DocumentVerifier
from strangler_proxy.handover.ports import TailPort
from strangler_proxy.handover.verify import Limits, Pending, Report


def repair(
    report: Report,
    pairs: Sequence[Pair],
    source: Database,
    target: Database,
    carrier: TailPort,
    limits: Limits,
    pending: Pending,
    tail: Callable[[], object],
) -> Report:
    """Carry each listed row's document, or its rows, and compare the rows again."""
    named: dict[Pair, list[Row]] = {}
    for pair in pairs:
        names = pair.source.table.name, pair.target.table.name
        keys = [each.key for each in report.differences if (each.table, each.to) == names]
        if keys:
            named[pair] = keys
    if not isinstance(carrier, DocumentTail | RowTail):
        raise TypeError("neither side has documents")
    carrier.carry(named)
    suspects = [Suspect(pair, key) for pair, keys in named.items() for key in keys]
    with DocumentVerifier(pairs, source, target, limits) as verifier:
        return verifier.verify_rows(suspects, pending=pending, tail=tail)
