"""How good is it? Methods side by side on the same base, documents and machine.

``formats`` reads question sets, ``methods`` are the ways to read a document, ``tasks`` measure
them, ``records`` keeps one line per item so that a run resumes, ``statistics`` says how sure a
figure is, and ``report`` and ``plots`` write it down.
"""
