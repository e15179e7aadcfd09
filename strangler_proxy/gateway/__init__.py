"""Composition of answers, and what the supervisor finds out for its workers.

That is: addresses, health, keys.
"""
