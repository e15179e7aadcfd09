"""A mover into documents that kills itself: `… SOURCE TARGET FOLDER PAGES`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.ledger import ledger_path, open_ledger
from strangler_proxy.handover.progress import Advance
from strangler_proxy.handover.run import Mover, Wishes
from strangler_proxy.handover.site import Ends
from tests.integration.handover.documents import NAME, Follower, moving


class Dying(Follower):
    """Dies behind so many pages."""

    def copied(self, advance: Advance) -> None:
        super().copied(advance)
        if sum(page.rows > 0 for page in self.pages) >= int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    source, target, folder = sys.argv[1:4]
    ends = Ends(open_database(source), open_database(target))
    with open_ledger(ledger_path(Path(folder) / "moves.yaml", NAME), "start") as ledger:
        Mover(moving(), ends, ledger, Dying(), threading.Event(), Wishes(claim_s=30.0)).run()
