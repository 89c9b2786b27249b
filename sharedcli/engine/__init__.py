"""The composition root: files, trees, model, store and retrieval put together.

``Engine`` is what the command line and programs use; see ``engine/engine.py``.
"""
