"""Releases of a dataset: manifest, provenance, splits, certificate, card and diff.

Imported datasets are read here too.
"""
