#!/bin/sh
"""exec" "$(dirname "$0")/lib/python" "$0" "$@"

Step 4: carve the payment service out of the monolith, with the payments. The line above is for the
shell, which reads it as a command: it makes the project's environment, and runs this file in it.
Python takes it for the docstring that it is. Importing this module does nothing.
"""

from collections.abc import Iterator, Mapping

from scripts import moving, order
from scripts.carving import python
from scripts.moving import Capability, Options, Worker
from strangler_proxy.steps import Step
from strangler_proxy.steps.script import Script, Site, run_step_script

# Payments are their payers' alone: without a token both sides can only be asked to refuse.
REFUSED = ("/payments", "/payments?page=2", "/payments/1", "/payments/2000000000")
EXAMPLES = """\
  scripts/step_4_payment.py                     the plan
  scripts/step_4_payment.py --execute           run it; thresholds for live traffic, a day's soak
  scripts/step_4_payment.py --execute --watch-s 5 --patience-s 120 --samples 3 \\
      --min-writes 1 --extra-errors 25% --p99-floor-s 5 --soak-s 5
                                                a rehearsal, with scripts/traffic in a second shell
  scripts/step_4_payment.py --status            where it stands
  scripts/step_4_payment.py --undo              everything back to the monolith, new payments too"""

CAPABILITY = Capability(
    number=4,
    name="payment",
    title="the payment service takes over payments, and the worker their receipts",
    # Money is read where it is written: no canary, all in the moment of the handover.
    writes=("payment-create", "payments-list", "payment-read"),
    seen=("payment-create",),
    reads=(),
    samples=lambda _: _samples(),
    environment={"DATABASE_URL": "PAYMENT_DATABASE_URL"},
    workers=lambda environment: _workers(environment),
    finishes_events=True,
    most_samples=len(REFUSED),
)


def _samples() -> Iterator[str]:
    yield from REFUSED


def _workers(environment: Mapping[str, str]) -> tuple[Worker, ...]:
    return (
        Worker(
            "payment-reconciler", python("extracted.payment.reconciler"), environment, writes=True
        ),
        Worker("email-worker", python("extracted.email_worker"), stays=True),
    )


def declare(options: Options, site: Site) -> Step:
    """The payment step as it runs on this site. Opens nothing. Raises StepError."""
    return moving.declare(CAPABILITY, options, site)


SCRIPT = Script(
    "payment",
    "Carve the payment service out of the monolith, behind the running proxy.",
    EXAMPLES,
    Options,
    declare,
    over=lambda site: moving.over("payment", site),
    order=order.of("payment"),
)

if __name__ == "__main__":
    run_step_script(SCRIPT)
