"""Stripe's test payment methods, currencies and least amounts: facts, and nothing else.

Sources: https://docs.stripe.com/testing and https://docs.stripe.com/currencies. Left out are cards
that only an attached customer or Radar's rules tell from a good one.
"""

from dataclasses import dataclass

MAX_AMOUNT = 99_999_999  # eight digits at most


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a card is declined: the error's code, the decline code if there is one, the message."""

    code: str
    decline_code: str | None
    message: str


def _declined(decline_code: str, message: str = "Your card was declined.") -> Decline:
    return Decline("card_declined", decline_code, message)


_GENERIC = _declined("generic_decline")
_FUNDS = _declined("insufficient_funds", "Your card has insufficient funds.")
_LOST, _STOLEN = _declined("lost_card"), _declined("stolen_card")

# Some have two spellings: the older one does without the card's brand.
DECLINES = {
    "pm_card_chargeDeclined": _GENERIC,
    "pm_card_visa_chargeDeclined": _GENERIC,
    "pm_card_chargeDeclinedInsufficientFunds": _FUNDS,
    "pm_card_visa_chargeDeclinedInsufficientFunds": _FUNDS,
    "pm_card_chargeDeclinedLostCard": _LOST,
    "pm_card_visa_chargeDeclinedLostCard": _LOST,
    "pm_card_chargeDeclinedStolenCard": _STOLEN,
    "pm_card_visa_chargeDeclinedStolenCard": _STOLEN,
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": _declined(
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its"
        " amount limit.",
    ),
    "pm_card_chargeDeclinedExpiredCard": Decline("expired_card", None, "Your card has expired."),
    "pm_card_chargeDeclinedIncorrectCvc": Decline(
        "incorrect_cvc", None, "Your card's security code is incorrect."
    ),
    "pm_card_chargeDeclinedProcessingError": Decline(
        "processing_error",
        None,
        "An error occurred while processing your card. Try again in a little bit.",
    ),
}

# A person has to prove to the bank who pays.
AUTHENTICATING = {
    f"pm_card_{name}"
    for name in (
        "authenticationRequired",
        "authenticationRequiredOnSetup",
        "authenticationRequiredSetupForOffSession",
        "authenticationRequiredChargeDeclinedInsufficientFunds",
        "threeDSecureRequired",
        "threeDSecure2Required",
        "threeDSecureRequiredChargeDeclined",
        "threeDSecureRequiredProcessingError",
    )
}
UNAUTHENTICATED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)

# Accepted now, paid or not paid days later; here when the double is told so.
PROCESSING = {"pm_usBankAccount_processing"}

_BRANDS = (
    "visa visa_debit mastercard mastercard_debit mastercard_prepaid amex discover diners jcb"
    " unionpay threeDSecureOptional amex_threeDSecureNotSupported"
)
_COUNTRIES = (
    "us ar br ca cl co cr ec mx pa py pe uy ae at be bg by hr cy cz dk ee fi fr de gi gr hu ie it"
    " lv li lt lu mt nl no pl pt ro sa si sk es se ch gb gb_debit au cn hk in jp my nz sg tw"
    " th_credit th_debit"
)
PAYING = {f"pm_card_{name}" for name in f"{_BRANDS} {_COUNTRIES}".split()}

METHODS = PAYING | PROCESSING | AUTHENTICATING | DECLINES.keys()

_CURRENCIES = (
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd"
    " bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp"
    " gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw"
    " kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad"
    " ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek"
    " sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst"
    " xaf xcd xof xpf yer zar zmw"
)
CURRENCIES = frozenset(_CURRENCIES.split())

# In minor units. What others come to depends on the day's rates, which the double does not know.
LEAST_AMOUNTS = {
    **dict.fromkeys(("usd", "aud", "brl", "cad", "chf", "eur", "inr", "jpy", "nzd", "sgd"), 50),
    **dict.fromkeys(("aed", "myr", "pln", "ron"), 200),
    **dict.fromkeys(("nok", "sek"), 300),
    **dict.fromkeys(("mxn", "thb"), 1000),
    "gbp": 30,
    "bgn": 100,
    "dkk": 250,
    "hkd": 400,
    "czk": 1500,
    "huf": 17500,
}
