"""One reader per file format. They run in the worker process and trust nothing that they read."""
