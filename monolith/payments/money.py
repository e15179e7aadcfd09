"""Amounts in a currency's minor unit, as Stripe counts them.

Source: https://docs.stripe.com/currencies, "Zero-decimal", "Three-decimal" and "Special cases".
"""

from __future__ import annotations

ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf"}
    | {"vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
# No minor unit in daily life, but Stripe counts hundredths of them, in whole units only.
HUNDREDTHS_OF_WHOLE_UNITS = frozenset({"isk", "ugx"})
MAX_AMOUNT = 99_999_999


def decimals(currency: str) -> int:
    """How many decimals an amount in minor units has when it is printed."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def step(currency: str) -> int:
    """Of what number an amount must be a multiple."""
    if currency in HUNDREDTHS_OF_WHOLE_UNITS:
        return 100
    return 10 if currency in THREE_DECIMAL else 1


def printed(amount: int, currency: str) -> str:
    """An amount for people: `(500, "jpy")` is "500 JPY", `(500, "usd")` is "5.00 USD"."""
    places = decimals(currency)
    if places == 0:
        return f"{amount} {currency.upper()}"
    whole, part = divmod(amount, 10**places)
    return f"{whole}.{part:0{places}d} {currency.upper()}"
