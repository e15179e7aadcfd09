from __future__ import annotations

import pytest

from monolith.payments.money import printed, step


@pytest.mark.parametrize(
    ("amount", "currency", "told"),
    [
        (1999, "usd", "19.99 USD"),
        (5, "eur", "0.05 EUR"),
        (500, "jpy", "500 JPY"),
        (1230, "kwd", "1.230 KWD"),
        (1000, "isk", "10.00 ISK"),
    ],
)
def test_minor_units_are_printed_as_the_currency_counts(
    amount: int, currency: str, told: str
) -> None:
    assert printed(amount, currency) == told


@pytest.mark.parametrize(
    ("currency", "wanted"), [("usd", 1), ("jpy", 1), ("kwd", 10), ("ugx", 100)]
)
def test_amounts_come_in_the_steps_that_stripe_takes(currency: str, wanted: int) -> None:
    assert step(currency) == wanted
