"""What a call between services fails with when the other service is the cause."""

from __future__ import annotations


class ServiceUnavailableError(Exception):
    """The service could not be reached, broke off, or did not answer in time."""


class BreakerOpenError(ServiceUnavailableError):
    """The service was not asked at all, because it has failed too often just now.

    After `retry_after_s` seconds it is worth another try.
    """

    def __init__(self, service: str, retry_after_s: float) -> None:
        super().__init__(
            f"{service} has failed too often and is left alone for {retry_after_s:.1f} s"
        )
        self.retry_after_s = retry_after_s
