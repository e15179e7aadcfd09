"""How fast a move's first copy is, beside pgloader and a pipe of two psql.

All copy the same rows of a blog's posts into the same empty table of one PostgreSQL server, on the
machine in front of you, by turns: A B C, A B C. Each copy is counted and its checksum compared with
the source's before its time counts. What is timed is the whole command, from its start to its end.
"""
