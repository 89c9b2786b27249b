"""Adapters that ship with the package, one folder each, as package data."""
