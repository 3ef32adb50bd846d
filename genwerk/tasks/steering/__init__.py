"""Steering a generator by its latents: samples are found again, moved, mixed, edited and measured."""

from genwerk.tasks.steering.directions import Labelled, attribute_direction, edit, labelled_codes, labelled_draws
from genwerk.tasks.steering.entanglement import Entanglement, entanglement, path_length, separability
from genwerk.tasks.steering.latents import Space, decoder, home, interpolate, latents, same, styled
from genwerk.tasks.steering.projection import Projected, Search, project
from genwerk.tasks.steering.styles import Level, Mixing, layers_of, mix, truncate

__all__ = [
    "Entanglement",
    "Labelled",
    "Level",
    "Mixing",
    "Projected",
    "Search",
    "Space",
    "attribute_direction",
    "decoder",
    "edit",
    "entanglement",
    "home",
    "interpolate",
    "labelled_codes",
    "labelled_draws",
    "latents",
    "layers_of",
    "mix",
    "path_length",
    "project",
    "same",
    "separability",
    "styled",
    "truncate",
]
