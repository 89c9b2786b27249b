"""How fast, how much memory, how many bytes: SharedLLM beside its baselines on the same base.

``methods`` are the ways to answer over a long text, ``clock`` and ``timing`` time them in turn,
``work`` counts what they must do at least, ``jobs`` are what a child process does (``child``,
``children``), ``latency``, ``memory``, ``storage`` and ``indexing`` are the four benchmarks, and
``report`` and ``plots`` write them down. Everything is measured through the product's own paths:
Compressor, Decoder, Engine, Store.
"""
