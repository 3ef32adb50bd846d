"""Names that a user may choose from; they stand apart so that a list of them needs no tensors."""

from __future__ import annotations

from typing import Literal

Spacing = Literal["leading", "trailing", "linspace", "even", "inner", "karras", "log-snr"]
Final = Literal["clean", "first"]
SamplerName = Literal["ddpm", "ddim", "pndm", "euler", "euler-ancestral", "heun", "dpmpp2m", "dpmpp2m-sde", "unipc"]
Variance = Literal["small", "large"]
