"""Ways to answer over a long text with one base, behind one contract (``contract.py``)."""
