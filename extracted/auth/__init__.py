"""The auth service: accounts, and the tokens that prove who somebody is, signed by a key pair."""
