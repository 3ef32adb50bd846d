"""What follows from the abilities: free functions over any model that has the primitives they need."""

from genwerk.core.batching import in_batches
from genwerk.core.errors import Unsupported
from genwerk.tasks.conditioning import require
from genwerk.tasks.latents import (
    LatentPath,
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
from genwerk.tasks.likelihood import Likelihood, Neighbours, bits_per_dim, log_likelihood, nearest
from genwerk.tasks.sampling import between, complete, edit, joined, sample, samples, watch

__all__ = [
    "Likelihood",
    "Neighbours",
    "LatentPath",
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
