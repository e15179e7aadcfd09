"""Amounts as people read them. They come in a currency's minor unit, as Stripe counts it.

Source: https://docs.stripe.com/currencies, "Zero-decimal" and "Three-decimal".
"""

from __future__ import annotations

ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf"}
    | {"vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


def printed(amount: int, currency: str, language: str) -> str:
    """An amount for people: `(1999, "usd")` is "19.99 USD".

    `(12000, "krw")` is "12000 KRW", and "12,000원" to those who read Korean.
    """
    if (currency, language) == ("krw", "ko"):
        return f"{amount:,}원"
    places = _decimals(currency)
    if places == 0:
        return f"{amount} {currency.upper()}"
    whole, part = divmod(amount, 10**places)
    return f"{whole}.{part:0{places}d} {currency.upper()}"


def _decimals(currency: str) -> int:
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2
