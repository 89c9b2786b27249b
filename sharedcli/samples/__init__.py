"""A document that ships with the package, for ``sharedcli demo``: text and the PDF made from it.

Written for this project, under its licence. Every name, place and figure in it is invented.
"""
