"""What a child process does: one job of a benchmark, described in JSON both ways.

A job is a function of a plan, a listener for its progress, and arguments by name; ``registry.py``
lists them all.
"""
