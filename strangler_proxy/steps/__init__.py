"""Extractions as data: parts that execute and undo, gates that prove themselves, one engine."""
