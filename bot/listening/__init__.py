"""A listening session: who is heard, what the channel is told, and what is summed up at the end.

`session.py` puts it together.
"""
