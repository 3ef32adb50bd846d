"""Genwerk: every family of deep generative model behind one library and one command."""

__version__ = "0.1.0"
