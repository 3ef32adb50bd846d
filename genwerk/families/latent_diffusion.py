"""Latent diffusion: pictures from words, by a diffusion model of an autoencoder's codes that attends to a text.

R. Rombach, A. Blattmann, D. Lorenz, P. Esser, B. Ommer: High-Resolution Image Synthesis with Latent Diffusion Models,
2022, arXiv:2112.10752. Image to image: Meng et al., SDEdit, 2022, arXiv:2108.01073.

Three parts are trained one after the other: the autoencoder, which alone sees pixels; CLIP, whose text tower reads the
captions; and the denoiser of the codes. Without a text part the condition is the label, or there is none.

Done differently: the text tower is trained on the user's own pictures and captions, unless it is loaded; the denoiser
learns from the means of the codes and not from draws of them; what is known of a picture comes back unchanged to the
pixel; and the preview of a picture on its way is one linear map of its code, fitted when the codes are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from genwerk.core.abilities import Completes, Completion, Denoises, InterpolatesPrompts, last
from genwerk.core.batching import batches, bounded, in_batches
from genwerk.core.condition import Text, choose
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Model, Stage, build
from genwerk.core.noise import Noise, Seed, SeededNoise, Seeds
from genwerk.core.options import Options
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.diffusion.sampling import Diffusion
from genwerk.families.autoencoder_kl import AutoencoderKL
from genwerk.families.diffusion import Context, DiffusionModel, repeated
from genwerk.families.two_stage import TwoStage, TwoStageConfig, sized


@dataclass(frozen=True, kw_only=True)
class LatentDiffusionConfig(TwoStageConfig):
    """Settings of the three parts."""

    text: Config | None = None
    """The text encoder: CLIP, trained on the pictures and their captions, or one that is loaded."""
    text_rounds: int | None = None
    """Rounds of CLIP's training; None is as many as the autoencoder's."""
    text_batch: int | None = None
    """Examples a batch of CLIP's training; None is the run's."""


@dataclass(frozen=True, kw_only=True)
class LatentDiffusionOptions(Diffusion):
    """As of any diffusion model, and what is shown on the way."""

    preview: bool = False
    """Whether frames on the way are rough, by one linear map a place of the code, and the sample alone is decoded."""


PREVIEWED = 1024
"""Examples to which the preview of a picture on its way is fitted."""


@runtime_checkable
class Reads(Protocol):
    """A model that makes vectors of the tokens of a text."""

    @property
    def context_width(self) -> int:
        """Numbers in such a vector."""
        ...

    def context(self, text: Tensor) -> Tensor:
        """A vector a token with shape (n, l, width), of ids with shape (n, l)."""
        ...


class LatentDiffusion(TwoStage, Denoises, Completes, InterpolatesPrompts, config=LatentDiffusionConfig):
    """x = decode(z), with z from a diffusion model conditioned on a text."""

    options: LatentDiffusionOptions
    prior: DiffusionModel
    preview: Tensor

    def __init__(self, config: LatentDiffusionConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: LatentDiffusionConfig = config
        if not isinstance(self.autoencoder, AutoencoderKL) or not isinstance(self.prior, DiffusionModel):
            raise ValueError(
                "latent diffusion is an AutoencoderKL and a diffusion model of its codes; for "
                f"{type(self.autoencoder).__name__} and {type(self.prior).__name__} take a LatentConfig"
            )
        self.options = LatentDiffusionOptions(**vars(self.prior.options))
        self.text = None if config.text is None else build(config.text, spec)
        if self.text is not None:
            self.condition = choose(True, spec, Text)
            self.prior.condition = Context(self.prior.config.context, self.condition, self.context)
            width = self._reader().context_width
            if width != self.prior.config.context:
                raise BadInput(
                    f"the text part tells {width} numbers a token, and the prior attends to "
                    f"{self.prior.config.context}; set ‹model.prior.context› {width}"
                )
        self.register_buffer("preview", torch.zeros(self.latent_shape[0] + 1, spec.shape[0]))

    # --- training -----------------------------------------------------------------------------------------------------

    def parts(self) -> Mapping[str, Model]:
        text = {} if self.text is None else {"text": self.text}
        return {"autoencoder": self.autoencoder, **text, "prior": self.prior}

    def stages(self, rounds: int) -> Sequence[Stage]:
        """The autoencoder's, CLIP's where there is one, and the denoiser's on the codes."""
        first, then = list[Stage](), list[Stage]()
        for stage in super().stages(rounds):
            (then if stage.name.startswith("prior") else first).append(stage)
        text_rounds = rounds if self.config.text_rounds is None else self.config.text_rounds
        if self.text is not None:
            reading = [sized(s, self.config.text_batch) for s in self.text.stages(text_rounds)]
            first += self._stages("text", self.text, reading)
            then = [replace(s, judged=False) for s in then]  # the prior alone reads no text
        return [*first, *then]

    @torch.no_grad()
    def codes(self, data: Dataset) -> Dataset:
        """The codes of ``data``; the map of :meth:`previewed` is fitted to them and their pictures."""
        made = super().codes(data)
        some = data.subset(PREVIEWED)

        def both(rows: slice) -> Tensor:
            x = some.batch(rows).x.to(self.device)
            return torch.cat([self.encode(x), F.avg_pool2d(x, self._factor).to(self.device)], 1)

        z, small = torch.cat(list(batches(both, len(some), self.device))).split(
            [self.latent_shape[0], self.spec.shape[0]], 1
        )
        rows = torch.cat([z, torch.ones_like(z[:, :1])], 1).movedim(1, 3).flatten(0, 2)
        solved = torch.linalg.lstsq(rows.double().cpu(), small.movedim(1, 3).flatten(0, 2).double().cpu())
        self.preview.copy_(solved.solution)
        return made

    # --- text ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def context(self, text: Tensor) -> Tensor:
        """What the denoiser attends to, of token ids with shape (n, l): vectors with shape (n, l, width)."""
        return in_batches(self._reader().context, text)

    def _reader(self) -> Reads:
        if not isinstance(self.text, Reads):
            raise ValueError(f"{type(self.text).__name__} reads no text; take CLIP or a TextEncoder")
        return self.text

    # --- abilities ----------------------------------------------------------------------------------------------------

    @property
    def row_cost(self) -> int:
        """Of the codes and of the finished picture; what the networks take is bounded at every call of them."""
        return self.prior.row_cost + 12 * self.spec.dims

    @torch.no_grad()
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        """The last of :meth:`latents`, decoded."""
        return self.decode(last(self.latents(n, condition, options, seed=seed)))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """As many codes at once as memory allows, unless gradients are needed."""
        return bounded(super().decode, z)

    @torch.no_grad()
    def trace(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Iterator[Tensor]:
        """Every frame decoded, or a preview of all but the last where ``options`` say so."""
        chosen, z = self.options.chosen(options), None
        for frame in self.latents(n, condition, chosen, seed=seed):
            if z is not None:
                yield self.previewed(z) if chosen.preview else self.decode(z)
            z = frame
        assert z is not None
        yield self.decode(z)

    @torch.no_grad()
    def latents(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Iterator[Tensor]:
        """The codes of :meth:`trace`, unscaled."""
        chosen = self.options.chosen(options)
        noise, sides = SeededNoise(n, seed, self.device), self._code_size(chosen.sides) or self.latent_shape[1:]
        eps = noise.normal(self.latent_shape[0], *sides)
        nothing = self._nothing_known(eps)
        yield from self.prior.walk(eps, noise, condition, chosen, self.prior.negative(chosen), nothing)

    @torch.no_grad()
    def interpolate_prompts(
        self, start: Tensor, end: Tensor, steps: int, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        if self.text is None:
            raise ValueError("this model has no text part, so there is nothing between two texts")
        share = torch.linspace(0, 1, steps, device=self.device).view(-1, 1, 1)
        mixed = self.context(start).lerp(self.context(end), share)
        noise, chosen = SeededNoise(1, seed, self.device), self.options.chosen(options)
        sides = self._code_size(chosen.sides) or self.latent_shape[1:]
        eps = noise.normal(self.latent_shape[0], *sides).expand(steps, -1, -1, -1)
        return self.decode(last(self.prior.walk(eps, noise, mixed, chosen, self.prior.negative(chosen))))

    def previewed(self, z: Tensor) -> Tensor:
        """Roughly the pictures of codes, by one linear map a place; decoded where no such map was fitted."""
        if not self.preview.any():
            return self.decode(z)
        small = torch.einsum("nchw,cd->ndhw", z, self.preview[:-1]) + self.preview[-1].view(1, -1, 1, 1)
        return F.interpolate(small, scale_factor=self._factor, mode="nearest").clamp(0, 1)

    @torch.no_grad()
    def sdedit(
        self,
        x: Tensor,
        strength: float,
        condition: Tensor | None = None,
        options: Options = None,
        *,
        seed: Seed | None = None,
    ) -> Tensor:
        """As of any model; strength 0 is the picture as the autoencoder has it."""
        noise, chosen = SeededNoise(len(x), seed, self.device), self.options.chosen(options)
        z = self._draw_code(x, noise)
        return self.decode(self.prior.denoise_from(z, strength, noise, condition, chosen, self.prior.negative(chosen)))

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        k: int = 1,
        condition: Tensor | None = None,
        options: Options = None,
        *,
        seed: Seed | None = None,
    ) -> Completion:
        """A place of the code is known where all of its pixels are; known pixels are restored at the end."""
        observed, mask, condition = repeated(x, known, k, condition)
        noise, chosen = SeededNoise(len(observed), Seeds.of(seed) * k, self.device), self.options.chosen(options)
        negative = self.prior.negative(chosen)
        if self.prior.extra_channels:
            eps = noise.normal(*self.latent_shape)
            z = last(self.prior.walk(eps, noise, condition, chosen, negative, self._seen(observed, mask, noise)))
        else:
            z = self._draw_code(observed, noise)
            z = self.prior.fill(z, (self._hidden(mask) == 0).expand_as(z), noise, condition, chosen, negative)
        filled = torch.where(mask, observed, self.decode(z).to(x.dtype))
        return Completion(filled.unflatten(0, (len(x), k)), None)

    def _hidden(self, known: Tensor) -> Tensor:
        """1 where a place of the code has pixels that are not ``known``, and 0 elsewhere, with shape (n, 1, h', w')."""
        return F.max_pool2d((~known).any(1, keepdim=True).float(), self._factor)

    def _seen(self, x: Tensor, known: Tensor, noise: Noise) -> Tensor:
        """The extra channels of an inpainting network: where to fill in, and the code of ``x`` greyed there."""
        z = self._draw_code(x.where(known.all(1, keepdim=True), 0.5), noise)
        return torch.cat([self._hidden(known).to(z), self.prior.centred(z)], dim=1)

    def _nothing_known(self, z: Tensor) -> Tensor | None:
        """The same for codes like ``z``, where all is to be filled in; None for a network without extra channels."""
        if not self.prior.extra_channels:
            return None
        height, width = (side * self._factor for side in z.shape[2:])
        grey = self.prior.centred(self.encode(z.new_full((1, self.spec.shape[0], height, width), 0.5)))
        return torch.cat([torch.ones_like(grey[:, :1]), grey], dim=1).expand(len(z), -1, -1, -1)

    @property
    def _factor(self) -> int:
        """Side in pixels of a place of the code."""
        return self.spec.shape[1] // self.latent_shape[1]

    def _draw_code(self, x: Tensor, noise: Noise) -> Tensor:
        """A draw from the codes of ``x``, unscaled, by the numbers that ``noise`` has next."""
        assert isinstance(self.autoencoder, AutoencoderKL)
        return self.autoencoder.sample_posterior(x, noise)

    def _code_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """Height and width of the code of a picture of ``size``."""
        if size is None:
            return None
        if any(side < 1 or side % self._factor for side in size):
            raise ValueError(f"a picture of {size[1]}x{size[0]} pixels has no code; take multiples of {self._factor}")
        return size[0] // self._factor, size[1] // self._factor
