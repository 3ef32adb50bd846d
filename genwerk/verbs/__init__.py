"""What follows from the abilities: free functions over any model that has the primitives they need."""

from genwerk.batching import in_batches
from genwerk.verbs.asking import Unsupported, require
from genwerk.verbs.making import between, complete, edit, joined, sample, samples, watch
from genwerk.verbs.representing import (
    Path,
    Span,
    encode,
    interpolate,
    latent_span,
    lerp,
    plane,
    reconstruct,
    slerp,
    traverse,
    way,
)
from genwerk.verbs.scoring import Likelihood, Neighbours, bits_per_dim, log_likelihood, nearest

__all__ = [
    "Likelihood",
    "Neighbours",
    "Path",
    "Span",
    "Unsupported",
    "between",
    "bits_per_dim",
    "complete",
    "edit",
    "encode",
    "in_batches",
    "interpolate",
    "joined",
    "latent_span",
    "lerp",
    "log_likelihood",
    "nearest",
    "plane",
    "reconstruct",
    "require",
    "sample",
    "samples",
    "slerp",
    "traverse",
    "watch",
    "way",
]
