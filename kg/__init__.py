"""Parley: a knowledge graph of trade actors, with its store, its shapes, its questions and its server."""

__version__ = "0.1.0"
