"""Invertible transforms with known log-determinants: the parts of normalising flows."""
