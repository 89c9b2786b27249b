"""Answer questions about long documents on your own machine, with page citations."""

__version__ = "0.1.0"
