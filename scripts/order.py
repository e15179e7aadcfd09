"""In which order the blog's steps go forward, and the other way round back."""

from strangler_proxy.steps.order import Order, order_of

NEEDS = {
    # Sends pictures to the image service. Copies names of users, and only auth tells of new ones.
    "posts": ("image", "auth"),
    "retire": ("image", "auth", "posts", "payment"),
}


def of(step: str) -> Order:
    """What has to be done before this step, and which steps need it."""
    return order_of(step, NEEDS)
