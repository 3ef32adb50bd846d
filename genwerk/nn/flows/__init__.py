"""Invertible transforms whose change of volume is known: what normalising flows are made of."""
