"""How an address stands after what it did: left out for a while after failures in a row. Pure."""

from strangler_proxy.config import Ejection


class Standing:
    """One address's record in one worker. Times are in seconds of one monotonic clock."""

    __slots__ = ("_ejections", "_in_a_row", "until")

    def __init__(self) -> None:
        self.until = 0.0
        """It is left out before this time."""
        self._in_a_row = 0
        self._ejections = 0

    def failed(self, now: float, settings: Ejection) -> bool:
        """Take note of a failure; whether the address is to be left out from now on.

        While it is left out, what fails was sent before, or sent for want of any other address.
        """
        if now < self.until:
            return False
        self._in_a_row += 1
        if self._in_a_row < settings.failures:
            return False
        self._in_a_row = 0
        self.until = now + min(settings.longest_s, settings.for_s * 2 ** min(self._ejections, 30))
        self._ejections += 1
        return True

    def succeeded(self, now: float, settings: Ejection) -> None:
        """Take note of a good answer; what held for as long again has a clean record."""
        self._in_a_row = 0
        if self._ejections and now > self.until + settings.for_s:
            self._ejections = 0
