"""What follows from the abilities: free functions over any model that has the primitives they need."""

from genwerk.core.batching import in_batches
from genwerk.core.errors import Unsupported
from genwerk.tasks.conditioning import require
from genwerk.tasks.latents import (
    LatentPath,
    Span,
    decode,
    encode,
    interpolate,
    interpolate_latents,
    lacks_encoder,
    latent_span,
    latent_values,
    lerp,
    pca_2d,
    reconstruct,
    slerp,
    traverse,
)
from genwerk.tasks.likelihood import Likelihood, Neighbours, bits_per_dim, log_likelihood, nearest
from genwerk.tasks.sampling import (
    complete,
    drawn_conditions,
    interpolate_prompts,
    joined,
    sample,
    samples,
    sdedit,
    trajectory,
)
from genwerk.tasks.translation import Smoothing, destination, destinations, provenance, tiles, translate

__all__ = [
    "Likelihood",
    "Neighbours",
    "LatentPath",
    "Smoothing",
    "Span",
    "Unsupported",
    "bits_per_dim",
    "complete",
    "decode",
    "destination",
    "destinations",
    "drawn_conditions",
    "encode",
    "in_batches",
    "interpolate",
    "interpolate_latents",
    "interpolate_prompts",
    "joined",
    "lacks_encoder",
    "latent_span",
    "latent_values",
    "lerp",
    "log_likelihood",
    "nearest",
    "pca_2d",
    "provenance",
    "reconstruct",
    "require",
    "sample",
    "samples",
    "sdedit",
    "slerp",
    "tiles",
    "trajectory",
    "translate",
    "traverse",
]
