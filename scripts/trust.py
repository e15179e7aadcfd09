"""Which of a site's secrets a program is given that a step starts; the rest is kept from it.

Who takes over the image service, which decodes what strangers send, must not find the card
payments' key in its environment. Addresses of databases and brokers count, as they have passwords.
"""

GIVEN = {
    "image": {"JWT_SECRET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},
    "auth": {"DATABASE_URL", "BROKER_URL", "JWT_SECRET", "SIGNING_KEYS", "RATE_LIMIT_URL"},
    "posts": {"DATABASE_URL", "BROKER_URL", "JWT_SECRET"},
    "posts-consumer": {"DATABASE_URL", "BROKER_URL"},
    "posts-names": {"DATABASE_URL"},
    "payment": {"DATABASE_URL", "BROKER_URL", "JWT_SECRET", "STRIPE_API_KEY"},
    "posts-relay": {"DATABASE_URL", "BROKER_URL"},
    "payment-relay": {"DATABASE_URL", "BROKER_URL"},
    "payment-reconciler": {"DATABASE_URL", "STRIPE_API_KEY"},
    "email-worker": {"BROKER_URL", "SMTP_URL"},
}
OF_NO_SERVICE = {
    *("AUTH_DATABASE_URL", "POSTS_DATABASE_URL", "PAYMENT_DATABASE_URL"),  # each as DATABASE_URL
    "STRANGLER_ADMIN_TOKEN",
}
SECRETS = frozenset(OF_NO_SERVICE.union(*GIVEN.values()))


def kept_from(program: str) -> frozenset[str]:
    """The secrets that this program has no use for."""
    return SECRETS - GIVEN[program]
