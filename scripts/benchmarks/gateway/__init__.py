"""What the duties of a gateway cost: `scripts/bench gateway`.

Who is measured (`contenders`), and with what configuration (`strangler`, `envoy`); what each duty
is and how a contender proves that it does it (`duties`, `proofs`, `tokens`); the rounds (`run`),
the verdicts (`targets`) and the tables (`report`).
"""
