"""Accounts: who a user is, and the tokens that prove it."""
