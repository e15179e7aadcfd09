from __future__ import annotations

import random
from itertools import islice

from scripts.torturing.choosing import MOST_ALIVE, Choosing
from scripts.torturing.history import Kind, Outcome
from scripts.torturing.nemesis import Death, acts


def test_one_seed_gives_one_schedule_of_deaths():
    first, again, other = (list(islice(acts(seed, tuple(Death), 1.0), 50)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_every_death_comes_sooner_or_later():
    assert {act.death for act in islice(acts(1, tuple(Death), 1.0), 500)} == set(Death)


def test_only_those_deaths_come_that_are_wanted():
    wanted = (Death.MOVER, Death.PROXY)
    assert {act.death for act in islice(acts(1, wanted, 1.0), 100)} == set(wanted)


def test_a_word_whose_end_is_unknown_is_left_alone():
    rng = random.Random(5)
    choosing = Choosing("c", rng)
    doubtful: set[str] = set()
    for _ in range(500):
        kind, word, _, _ = choosing.next()
        assert word not in doubtful
        outcome = rng.choice((Outcome.OK, Outcome.OK, Outcome.REFUSED, Outcome.UNKNOWN))
        if outcome == Outcome.UNKNOWN and kind != Kind.READ:
            doubtful.add(word)
        choosing.ended(kind, word, outcome)
    assert doubtful


def test_no_mark_is_given_twice_and_few_words_are_kept():
    choosing, marks = Choosing("c", random.Random(5)), []
    for _ in range(500):
        kind, word, mark, _ = choosing.next()
        marks.append(mark)
        choosing.ended(kind, word, Outcome.OK)
        assert len(choosing.alive) <= MOST_ALIVE
    assert len(set(marks)) == 500
