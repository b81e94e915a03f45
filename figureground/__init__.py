"""The nouns and the arithmetic of figureground: no network, no server, no clock."""

__version__ = "0.1.0"
