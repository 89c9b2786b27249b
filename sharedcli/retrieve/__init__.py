"""From a question to evidence: ranked passages, and the tree nodes to inject under a slot budget.

``passages`` cuts pages, ``lexical`` writes full-text expressions (``vocabulary`` supplies what
documents call things), ``embedding`` encodes with a small sentence model, ``naming`` says which
document a question names, ``rank`` fuses all, ``find`` reads the store, ``search`` spends the slot
budget.
"""
