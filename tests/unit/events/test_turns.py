"""Which events of a claim are sent together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extracted.chassis.events.port import Message
from extracted.chassis.outbox_store import Recorded
from extracted.chassis.relaying import turns


@given(st.lists(st.sampled_from("abcde"), max_size=60))
def test_each_event_has_its_turn_after_those_before_it_and_beside_none_of_its_key(
    keys: list[str],
) -> None:
    events = [Recorded(place, Message(str(place), "t", key, b"")) for place, key in enumerate(keys)]
    sent = turns(events)
    assert sorted(event.place for turn in sent for event in turn) == list(range(len(keys)))
    for turn in sent:
        assert len({event.message.key for event in turn}) == len(turn)
    for key in set(keys):
        own = [event.place for turn in sent for event in turn if event.message.key == key]
        assert own == sorted(own)
    # No more turns than the busiest key needs.
    assert len(sent) == max(map(keys.count, keys), default=0)
