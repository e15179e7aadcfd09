"""Who is in the walk: so many clients of each kind, and how long each thinks between requests."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from itertools import cycle, islice
from random import Random
from typing import TypeVar

from scripts.walking.client import Client, Scene, WrongAnswerError
from scripts.walking.crew import Crew
from scripts.walking.payers import Payer
from scripts.walking.photographs import Photograph
from scripts.walking.readers import Reader, Stranger, list_posts
from scripts.walking.writers import Author, Commenter, Member, Photographer

# While measuring, requests come at a fixed rate, as from many people who know nothing of each
# other: clients that only wait for each answer would ask less of a blog that is slow.
LISTERS, LIST_EVERY_S, UPLOAD_EVERY_S = 4, 0.2, 1.0
JOINING = 4  # at a time: a password takes a quarter of a second to hash
M = TypeVar("M", bound=Member)


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many clients of each kind there are."""

    readers: int = 3
    strangers: int = 1
    authors: int = 3
    commenters: int = 1
    photographers: int = 2
    payers: int = 2

    @classmethod
    def of(cls, clients: int) -> "Numbers":
        """So many altogether: one of each kind, and more of those who do most.

        Raises ValueError for fewer clients than kinds.
        """
        kinds = [kind.name for kind in fields(cls)]
        if clients < len(kinds):
            raise ValueError(f"{clients} clients are fewer than the {len(kinds)} kinds of them")
        more = islice(cycle(MORE), clients - len(kinds))
        return cls(**Counter([*kinds, *more]))


MORE = ("readers", "authors", "photographers", "payers", "readers", "authors")


@dataclass(frozen=True, slots=True)
class Part:
    """What one client does again and again, and its pause after each time, in seconds."""

    name: str
    act: Callable[[], None]
    pause_s: Callable[[], float]

    def play(self, crew: Crew) -> None:
        """Do it in a thread of the crew until that is told to stop."""
        crew.go(self.name, self.act, self.pause_s)


class Cast:
    """Every client of a walk; close it when the traffic has ended.

    `everyone` is the ordinary traffic. `measuring()` is added while the reason for the step is
    measured: `uploaders` clients that upload large pictures, and others that list the posts.
    """

    def __init__(
        self,
        scene: Scene,
        seed: int,
        heavy: list[Photograph],
        uploaders: int,
        numbers: Numbers = Numbers(),
    ) -> None:
        self._scene = scene
        self._numbers = numbers
        self._seed = seed
        self._closing = ExitStack()
        self.authors = [
            self._keep(Author(scene, self._rng(f"author {n}"))) for n in range(numbers.authors)
        ]
        self.payers = [
            self._keep(Payer(scene, self._rng(f"payer {n}"))) for n in range(numbers.payers)
        ]
        self._uploaders = [
            self._keep(Photographer(scene, self._rng(f"uploader {n}"), heavy, "uploader"))
            for n in range(uploaders)
        ]
        self._others: list[Member] = [
            self._keep(Commenter(scene, self._rng(f"commenter {n}")))
            for n in range(numbers.commenters)
        ]
        self._others += [
            self._keep(Photographer(scene, self._rng(f"photo {n}"), scene.album, "photographer"))
            for n in range(numbers.photographers)
        ]
        self.everyone = list(self._ordinary())

    @property
    def members(self) -> list[Member]:
        """Everybody with an account."""
        return [*self.authors, *self.payers, *self._uploaders, *self._others]

    def close(self) -> None:
        """Close every connection."""
        self._closing.close()

    def join(self) -> None:
        """Give everybody an account; who fails is recorded, and tries again when traffic flows."""
        with ThreadPoolExecutor(JOINING) as pool:
            list(pool.map(lambda member: self._record(member.join), self.members))

    def seed_posts(self, count: int) -> None:
        """Write the first posts, every second one with a picture."""
        for number in range(count):
            author = self.authors[number % len(self.authors)]
            if author.client.token is None:
                continue  # that this one could not join is recorded
            album = self._scene.album
            photograph = album[number // 2 % len(album)] if number % 2 else None
            self._record(partial(author.post, photograph))

    def _record(self, act: Callable[[], None]) -> None:
        try:
            act()
        except WrongAnswerError as wrong:
            self._scene.failed(wrong.failure)

    def _ordinary(self) -> Iterator[Part]:
        for number in range(self._numbers.readers):
            rng = self._rng(f"reader {number}")
            reader = Reader(self._scene, rng)
            self._closing.callback(reader.client.close)
            yield Part(reader.client.name, reader.act, _thinking(rng, 0.1, 0.5))
        for number in range(self._numbers.strangers):
            stranger = Stranger(self._scene, self._rng(f"stranger {number}"))
            self._closing.callback(stranger.client.close)
            yield Part(stranger.client.name, stranger.act, lambda: 1.0)
        for member in [*self.authors, *self.payers, *self._others]:
            yield Part(member.client.name, member.act, _thinking(member.rng, 0.2, 0.8))

    def measuring(self) -> Iterator[Part]:
        """Yield the parts that are played while the reason for the step is measured."""
        for uploader in self._uploaders:
            pause_s = every(UPLOAD_EVERY_S, self._scene.clock)
            yield Part(uploader.client.name, uploader.act, pause_s)
        for _ in range(LISTERS):
            client = Client(self._scene, "lister")
            self._closing.callback(client.close)
            pause_s = every(LIST_EVERY_S, self._scene.clock)
            yield Part(client.name, partial(_list, client), pause_s)

    def _keep(self, member: M) -> M:
        self._closing.callback(member.close)
        return member

    def _rng(self, name: str) -> Random:
        return Random(f"{self._seed} {name}")  # noqa: S311 - traffic, not secrets


def _thinking(rng: Random, least_s: float, most_s: float) -> Callable[[], float]:
    return lambda: rng.uniform(least_s, most_s)


def every(period_s: float, clock: Callable[[], float]) -> Callable[[], float]:
    """Return a pause that makes acts begin at a fixed rate; one that comes late is made up for."""
    due = clock()

    def pause_s() -> float:
        nonlocal due
        due += period_s
        return max(0.0, due - clock())

    return pause_s


def _list(client: Client) -> None:
    list_posts(client)
