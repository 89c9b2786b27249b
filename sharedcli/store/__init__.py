"""Context trees on disk: a SQLite catalogue and safetensors blobs. ``store.py`` is the way in.

Nothing is imported here, so that listing the library never loads torch.
"""
