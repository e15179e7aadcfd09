"""What amounts a currency has, in its minor unit, as Stripe counts them.

Source: https://docs.stripe.com/currencies, "Three-decimal" and "Special cases". Zero-decimal
currencies such as KRW need nothing here: their minor unit is the whole one, charged as it comes.
"""

from __future__ import annotations

THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
# No minor unit in daily life, but Stripe counts hundredths of them, in whole units only.
HUNDREDTHS_OF_WHOLE_UNITS = frozenset({"isk", "ugx"})
MAX_AMOUNT = 99_999_999


def step(currency: str) -> int:
    """Of what number an amount must be a multiple."""
    if currency in HUNDREDTHS_OF_WHOLE_UNITS:
        return 100
    return 10 if currency in THREE_DECIMAL else 1
