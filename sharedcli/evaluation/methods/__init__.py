"""Ways to answer over a long document with one base, behind one contract (``contract.py``)."""
