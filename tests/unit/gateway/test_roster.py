from strangler_proxy.config import HealthCheck
from strangler_proxy.config.address import Address
from strangler_proxy.gateway.health import Checked
from strangler_proxy.gateway.roster import Member, Roster

A, B, C = (Address("10.0.0.1", port) for port in (1, 2, 3))
RULES = HealthCheck(fall=1, rise=1)
FAILED = Checked(False, "500", 1.0)


def test_addresses_keep_the_order_they_were_given_in_and_come_once() -> None:
    roster = Roster()
    roster.become([B, A, B])
    assert roster.members == (Member(B, True, False), Member(A, True, False))


def test_those_that_stay_keep_what_is_known_of_them() -> None:
    roster = Roster()
    roster.become([A, B])
    roster.judge(A, FAILED, RULES)
    roster.drain(B, True)
    roster.become([C, B, A])
    assert roster.members == (
        Member(C, True, False),
        Member(B, True, True),
        Member(A, False, False),
    )


def test_one_that_left_comes_back_as_a_stranger() -> None:
    roster = Roster()
    roster.become([A])
    roster.judge(A, FAILED, RULES)
    roster.drain(A, True)
    roster.become([])
    roster.become([A])
    assert roster.members == (Member(A, True, False),)
    assert roster.checked == {}


def test_a_check_of_an_address_that_has_left_meanwhile_leaves_nothing_behind() -> None:
    roster = Roster()
    roster.become([A])
    assert not roster.judge(B, FAILED, RULES)
    assert roster.checked == {}


def test_it_says_when_a_check_has_changed_the_verdict() -> None:
    roster = Roster()
    roster.become([A])
    assert roster.judge(A, FAILED, RULES)
    assert not roster.judge(A, FAILED, RULES)
    assert roster.judge(A, Checked(True, "200", 2.0), RULES)
