"""Operators that propose new solutions from a pool of known ones."""
