"""Who may register: the monolith and auth take the same addresses, and mail can be sent to each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extracted.chassis.inputs import Fields as AuthFields
from extracted.email_worker.messages import ADDRESS
from monolith.inputs import Fields as MonolithFields

SIDES = (MonolithFields, AuthFields)
CHARACTERS = st.text(alphabet="ab09.,:;<>\"'@=?_-+!#(){}[]\\ \r\n\t\0é", max_size=30)


def taken(address: str) -> list[bool]:
    fields = [side({"email": address}) for side in SIDES]
    for each in fields:
        each.email("email")
    return [not each.problems for each in fields]


@pytest.mark.parametrize(
    "address",
    ["ann@example.org", "Ann.O'Neil+blog@mail.example.co.uk", "x_{1}!#$%&*/=?^`|~-@a-b.example"],
)
def test_addresses_of_people_are_taken(address: str) -> None:
    assert taken(address) == [True, True]


@pytest.mark.parametrize(
    "address",
    [
        *('"a"@example.org', "x,victim@corp.example", ":;@example.org", "<a>@example.org"),
        *("a(b)@example.org", "a\\b@example.org", "[a]@example.org", "a b@example.org"),
        *("ann@localhost", "ann@", "@example.org", "zoë@example.org", "a@b@example.org"),
    ],
)
def test_what_no_mail_can_be_sent_to_is_no_address(address: str) -> None:
    assert taken(address) == [False, False]


@given(CHARACTERS, st.sampled_from(["example.org", "a-b.co", "x", "-.-", "a..b"]))
def test_both_sides_take_the_same_and_all_of_it_is_sent_to(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    monolith, auth = taken(address)
    assert monolith == auth
    assert not auth or ADDRESS.fullmatch(address.strip())
