"""Steering a generator by its latents: samples are found again, moved, mixed, edited and measured."""

from genwerk.steering.directions import Labelled, attribute_direction, edit, labelled_codes, labelled_draws
from genwerk.steering.entanglement import Entanglement, entanglement, path_length, separability
from genwerk.steering.latents import Space, decoder, home, interpolate, latents, styled, told
from genwerk.steering.projection import Projected, Search, project
from genwerk.steering.styles import Level, Mixing, layers_of, mix, truncate

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
    "separability",
    "styled",
    "told",
    "truncate",
]
