"""Asks spin whether the handover's protocol holds in every order of events."""
