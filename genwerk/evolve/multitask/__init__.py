"""Evolutionary multitasking: several multi-objective problems solved together, each helped by the others' solutions."""
