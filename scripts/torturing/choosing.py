"""What a client does next, from a seed. Pure.

It keeps a few words alive, and never touches one again of whose last operation it knows nothing.
"""

import random
from dataclasses import dataclass, field

from scripts.torturing.history import Kind, Outcome

MOST_ALIVE = 8


@dataclass(slots=True)
class Choosing:
    """One client's words. `alive` ones have a row; `known` may also be read when they have none."""

    client: str
    rng: random.Random
    alive: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    made: int = 0
    marks: int = 0

    def next(self) -> tuple[Kind, str, str, int | None]:
        """Kind, word, mark and value of the next operation."""
        self.marks += 1
        mark = f"{self.client}-m{self.marks}"
        kind = self._kind()
        if kind == Kind.INSERT:
            self.made += 1
            return kind, f"{self.client}-{self.made}", mark, self.marks
        if kind == Kind.READ:
            return kind, self.rng.choice([*self.alive, *self.gone[-2:]]), mark, None
        word = self.rng.choice(self.alive)
        return kind, word, mark, self.marks if kind == Kind.UPDATE else None

    def ended(self, kind: Kind, word: str, outcome: Outcome) -> None:
        """Take in how it ended."""
        if kind == Kind.READ or outcome == Outcome.REFUSED:
            return
        if word in self.alive:
            if outcome == Outcome.UNKNOWN or kind == Kind.DELETE:
                self.alive.remove(word)
        elif outcome == Outcome.OK and kind == Kind.INSERT:
            self.alive.append(word)
        if outcome == Outcome.OK and kind == Kind.DELETE:
            self.gone.append(word)

    def _kind(self) -> Kind:
        if len(self.alive) < 2:
            return Kind.INSERT
        weights = {Kind.INSERT: 3, Kind.UPDATE: 5, Kind.DELETE: 2, Kind.READ: 3}
        if len(self.alive) >= MOST_ALIVE:
            del weights[Kind.INSERT]
        return self.rng.choices(list(weights), list(weights.values()))[0]
