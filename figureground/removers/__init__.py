"""Removers: what is person and what is background, one method a file.

The Protocols say what a remover must do and what it can do besides; they lie in `figureground.mattes.remover`, because the
catalog, which builds removers, imports nothing from here.
"""

from figureground.mattes.remover import RecurrentRemover, Remover, ScoringRemover

__all__ = ["PROTOCOL", "RecurrentRemover", "Remover", "ScoringRemover"]

PROTOCOL = Remover
