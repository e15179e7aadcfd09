"""The double of Stripe for a container: it listens to the others, not to loopback alone.

The first argument is the folder for what it has charged.
"""

import sys
from pathlib import Path

from aiohttp import web

from scripts.embedded.stripe_double import StripeDouble
from scripts.embedded.stripe_ledger import Ledger

PORT = 12111


def main() -> None:
    """Answer until told to stop by SIGTERM or SIGINT."""
    ledger = Ledger(Path(sys.argv[1]))
    try:
        web.run_app(StripeDouble(ledger).application(), port=PORT, access_log=None)
    finally:
        ledger.close()


if __name__ == "__main__":
    main()
