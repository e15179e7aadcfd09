"""Moves into MongoDB: documents made of the rows of several tables, and rows made of them again.

The engine of moves is the same. What it does differently where one side has documents is here, and
chosen in parts.py: pairing, loading, the tail of either direction, verification, and what triggers
do elsewhere: the fence is a rule of the collections, the capture reads the stream of changes.
"""
