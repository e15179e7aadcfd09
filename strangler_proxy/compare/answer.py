"""An HTTP answer as a value: what a comparison sees of either side."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """One final answer, body whole and content codings as sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> tuple[str, ...]:
        """Every value of the header, in the order sent; names match in any case."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == wanted)

    @property
    def media_type(self) -> str:
        """`type/subtype` in lower case without parameters; empty when not declared."""
        values = self.header("content-type")
        return values[-1].partition(";")[0].strip().lower() if values else ""
