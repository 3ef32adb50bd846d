"""Evolutionary multitasking: several multi-objective problems solved together, each helped by the others' solutions."""

from genwerk.evolve.multitask.emtgs import EMTGSConfig, IDEConfig
from genwerk.evolve.multitask.mfea import MOMFEAConfig
from genwerk.evolve.multitask.problem import MultitaskProblem

__all__ = ["EMTGSConfig", "IDEConfig", "MOMFEAConfig", "MultitaskProblem"]
