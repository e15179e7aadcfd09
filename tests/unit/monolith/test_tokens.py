from __future__ import annotations

from datetime import timedelta

from monolith.auth.tokens import Tokens
from monolith.clock import utc_now
from monolith.models import User
from tests.blog import SECRET


def test_a_token_of_a_signer_whose_clock_is_ahead_is_good() -> None:
    user = User(id=7, email="ann@example.org", name="Ann")
    ahead = Tokens(SECRET, 60, lambda: utc_now() + timedelta(seconds=30))
    token, _ = ahead.issue(user)
    assert Tokens(SECRET, 60, utc_now).caller(token).user_id == 7
