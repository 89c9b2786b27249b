"""Scores of one prediction against one reference, each between 0 and 1.

``words`` and ``overlap`` hold what the sets share; ``longbench``, ``leval``, ``infinitebench`` and
``bamboo`` follow the sets' own scripts, their oddities included, so that scores can be recomputed
with them.
"""
