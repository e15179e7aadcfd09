"""The one error of a store that cannot be used as it is configured."""


class StoreUnusable(RuntimeError):
    """Where limits are counted cannot be used; the message says why and what to do."""
