"""Projection: the latents that decode to given examples.

Karras et al., Analyzing and Improving the Image Quality of StyleGAN, 2020, arXiv:1912.04958, section 5 and appendix D.

Done differently: all examples are searched for at once, and each as if it were alone; the distance is any similarity
(the paper's is LPIPS); a search starts from several of the best of many draws too, for it easily sticks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from genwerk.core.abilities import HasLatentPrior
from genwerk.core.batching import Cost, Meter, batches, in_batches
from genwerk.core.errors import called
from genwerk.core.model import Config, Loss, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.noise import SeededNoise
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.metrics.ppl import Similarity, pixels
from genwerk.tasks import Unsupported, require
from genwerk.tasks.conditioning import conditions
from genwerk.tasks.inputs import Examples, batch_of
from genwerk.tasks.steering.latents import Space, home, steady, styled
from genwerk.training.runtime import Runtime
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class Search(Config):
    """How a projection searches; the values are those of StyleGAN2's projector."""

    space: Space = "z"
    """Where to search: the prior's space, one style for all layers, or a style for each layer."""
    noise_maps: bool = False
    """Whether to search for the noise maps too (in w and w+)."""
    steps: int = 1000
    """Steps of Adam."""
    lr: float = 0.1
    """Peak learning rate."""
    rampup: float = 0.05
    """Fraction of the steps over which the learning rate rises from zero."""
    rampdown: float = 0.25
    """Fraction of the steps over which it falls to zero at the end."""
    wander: float = 0.05
    """Noise added to styles at first, as a fraction of the standard deviation of w (a whole vector's)."""
    wander_until: float = 0.75
    """Fraction of the steps after which that noise is gone."""
    noise_weight: float = 1e5
    """Weight of the noise maps' autocorrelation, which keeps the picture out of them."""
    draws: int = 10_000
    """Draws of the prior from whose mean style the search starts."""
    candidates: int = 500
    """Draws of the prior of which the most alike are starts too."""
    starts: int = 4
    """Starts of an example's search, of which the best end counts: candidates in z, the mean style and candidates in w
    and w+. The published search has the mean alone: 1."""

    def __post_init__(self) -> None:
        if min(self.steps, self.draws, self.starts) < 1 or self.candidates < self.starts:
            raise ValueError(
                f"steps is {self.steps}, draws {self.draws}, starts {self.starts} of {self.candidates} candidates; "
                "each must be 1 or more, and there must be as many candidates as starts"
            )
        if self.noise_maps and self.space == "z":
            raise ValueError("noise maps are searched for beside styles; choose the space w or w+")


@dataclass(frozen=True)
class Projected:
    """Where examples were found in a model's latent space."""

    space: Space
    latent: Tensor
    """In z with shape (n, *latent_shape), in w and w+ with shape (n, layers, d)."""
    noise: list[Tensor] | None
    """Noise maps, one a layer, each with shape (n, 1, h, w); None where none were searched for."""
    reconstruction: Tensor
    """What the latents decode to, with shape (n, *spec.shape)."""
    distance: Tensor
    """From each example to its reconstruction, with shape (n,), in the similarity that was searched with."""


def project(
    model: Model,
    examples: Examples,
    search: Search | None = None,
    *,
    similarity: Similarity = pixels,
    seed: int = 0,
    size: int = 32,
) -> Projected:
    """The latents that decode to what is most like the examples: GAN inversion by gradient descent.

    Every example is searched for on its own, with the same random numbers whatever stands beside it, so that its
    projection depends on the example and ``seed`` alone; ``size`` bounds how many are searched for together. The space
    is w where the model has styles and z where not, unless ``search`` says otherwise.
    """
    require(model, "project", "has-latent-prior")
    search = search or Search(space=home(model))
    batch = batch_of(model, examples)
    x = batch.x
    if x.shape[1:] != model.spec.shape:
        found, wanted = ("x".join(map(str, shape)) for shape in (x.shape[1:], model.spec.shape))
        raise ValueError(f"the examples to project are {found} and this model makes {wanted}; bring them to that size")
    if model.condition.continuous:
        raise Unsupported(f"project searches by class, and {called(model)} has covariates; encode instead")
    condition = conditions(model, batch)
    with steady(model), torch.random.fork_rng():
        cost = Cost(_cost(model, Batch(x, condition)[slice(1)], search, similarity, seed))
        parts = list(
            batches(
                lambda rows: _project(model, Batch(x, condition)[rows], search, similarity, seed),
                len(x),
                model.device,
                cost=cost,
                most=size,
            )
        )
    noise = [torch.cat(maps) for maps in zip(*(p.noise for p in parts if p.noise is not None), strict=True)]
    latent, reconstruction, distance = (
        torch.cat([getattr(p, name) for p in parts]) for name in ("latent", "reconstruction", "distance")
    )
    return Projected(search.space, latent, noise or None, reconstruction, distance)


def _cost(model: Model, one: Batch, search: Search, similarity: Similarity, seed: int) -> int:
    """Bytes that a step of the search takes for one example."""
    begin = _in_z if search.space == "z" else _among_styles
    game = begin(model, one, search, similarity, seed)
    with Meter() as meter:
        similarity(game.render(game.latent, list(game.noise)), one.x.repeat_interleave(search.starts, 0)).sum()
    peak: int = meter.peak
    return peak


def _project(model: Model, batch: Batch, search: Search, similarity: Similarity, seed: int) -> Projected:
    begin = _in_z if search.space == "z" else _among_styles
    game = begin(model, batch, search, similarity, seed)
    targets = Dataset(x=batch.x.repeat_interleave(search.starts, 0), spec=model.spec)
    settings = TrainConfig(
        rounds=search.steps,
        batch_size=0,
        optim={"latent": OptimConfig(lr=search.lr)},
        sample_every=0,
        evaluate_every=0,
        save_every=0,
    )
    Trainer(game, targets, settings, runtime=Runtime(model.device)).fit()
    with torch.no_grad():
        made = game.render(game.latent, list(game.noise))
        distance = similarity(made, targets.x).unflatten(0, (len(batch), search.starts))
    best = distance.argmin(1) + search.starts * torch.arange(len(batch), device=distance.device)
    latent = game.latent.detach()[best]
    if search.space == "w":
        latent = latent.expand(-1, len(styled(model, "the space w").style_sizes), -1).contiguous()
    noise = [p.detach()[best] for p in game.noise] if search.noise_maps else None
    return Projected(search.space, latent, noise, made[best], distance.amin(1))


class Projection(Model):
    """The game of one player, who holds latents (and noise maps) and brings what they render to near the targets.

    ``start`` has shape (rows, ...) with a row for each target; ``wander``, one number or one a row, is the standard
    deviation of the noise that is added to it at first, drawn alike for every row. What renders and what measures are
    no part of this model, and stay as they are.
    """

    def __init__(
        self,
        search: Search,
        spec: DataSpec,
        render: Callable[[Tensor, Sequence[Tensor]], Tensor],
        similarity: Similarity,
        start: Tensor,
        noise: Sequence[Tensor] = (),
        *,
        wander: Tensor | float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(search, spec)
        self.config: Search = search
        self.render, self.wander = render, wander
        self.similarity: Similarity = lambda a, b: similarity(a, b)  # a network itself would become part of us
        self.latent = nn.Parameter(start.detach().clone())
        self.noise = nn.ParameterList([n.detach().clone() for n in noise])
        self.rng = SeededNoise(1, seed, start.device)

    def players(self) -> Mapping[str, nn.Module]:
        return {"latent": self}

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("project", rounds, self.turns, batch_size=0)]

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        batch, player = stream.next_batch(), players["latent"]
        t = player.steps / self.config.steps
        player.rate = self.rate(t)
        fading = max(0.0, 1 - t / self.config.wander_until) if self.config.wander_until else 0.0
        eps = self.rng.normal(*self.latent.shape[1:])
        yield Turn("latent", self.distance, batch, eps=eps * self.wander * fading**2)
        self.standardise_noise_()

    def rate(self, t: float) -> float:
        """Factor on the learning rate at the fraction ``t`` of the way: up along a line, down along a half cosine."""
        up = min(1.0, t / self.config.rampup) if self.config.rampup else 1.0
        down = min(1.0, (1 - t) / self.config.rampdown) if self.config.rampdown else 1.0
        return up * (1 - cos(pi * down)) / 2

    def distance(self, batch: Batch, eps: Tensor) -> Loss:
        """Summed over targets, so that each row's gradient is that of its own distance; ``eps`` is added to latents."""
        distance = self.similarity(self.render(self.latent + eps, list(self.noise)), batch.x)
        loss = distance.sum()
        for noise in self.noise:
            loss = loss + self.config.noise_weight * autocorrelation(noise).sum()
        return loss, {"distance": distance.mean()}

    @torch.no_grad()
    def standardise_noise_(self) -> None:
        """Bring each noise map to mean 0 and variance 1."""
        for noise in self.noise:
            noise -= noise.mean((1, 2, 3), keepdim=True)
            noise /= noise.square().mean((1, 2, 3), keepdim=True).sqrt()


def _in_z(model: Model, batch: Batch, search: Search, similarity: Similarity, seed: int) -> Projection:
    """A search in z from the candidates most like each example."""
    assert isinstance(model, HasLatentPrior)
    decode, k = model.decode, search.starts
    z = model.prior(search.candidates, seed=seed)
    start = z.new_empty(len(batch), k, *model.latent_shape)
    for rows, c in _by_class(batch.condition, len(batch)):
        start[rows] = _most_alike(decode, z, c, batch.x[rows], k, similarity)
    c = None if batch.condition is None else batch.condition.repeat_interleave(k)
    return Projection(search, model.spec, lambda z, _: decode(z, c), similarity, start.flatten(0, 1))


def _among_styles(model: Model, batch: Batch, search: Search, similarity: Similarity, seed: int) -> Projection:
    """A search in w or w+ from the mean style, and from the candidates most like each example."""
    steered, n, k = styled(model, f"projecting into {search.space}"), len(batch), search.starts
    layers = len(steered.style_sizes)
    z = steered.prior(max(search.draws, search.candidates), seed=seed)
    starts: dict[int, Tensor] = {}
    spreads: dict[int, Tensor] = {}
    for rows, c in _by_class(batch.condition, n):
        w = in_batches(steered.map, z, None if c is None else c.expand(len(z)))
        mean = w[: search.draws].mean(0)
        near = w[: search.candidates if k > 1 else 1]
        near = _most_alike(lambda w, _: steered.synthesise(w), near, None, batch.x[rows], k - 1, similarity)
        spread = (w[: search.draws, 0] - mean[0]).square().sum(1).mean().sqrt()
        for row, alike in zip(rows.tolist(), near, strict=True):
            starts[row], spreads[row] = torch.cat([mean.unsqueeze(0), alike]), spread.expand(k)
    start, spread = (torch.cat([found[row] for row in range(n)]) for found in (starts, spreads))
    noise = steered.draw_noise(1, seed=seed) if search.noise_maps else []
    return Projection(
        search,
        model.spec,
        lambda w, noise: steered.synthesise(w.expand(-1, layers, -1), list(noise) or None),
        similarity,
        start if search.space == "w+" else start[:, :1],
        [m.expand(n * k, -1, -1, -1) for m in noise],
        wander=search.wander * spread.reshape(-1, 1, 1),
        seed=seed,
    )


def _by_class(condition: Tensor | None, n: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The rows of each class among ``n`` examples, with the class; all rows and None where there is no condition."""
    if condition is None:
        yield torch.arange(n), None
        return
    for label in condition.unique():
        yield (condition == label).nonzero().flatten(), label


@torch.no_grad()
def _most_alike(
    decode: Callable[[Tensor, Tensor | None], Tensor],
    latents: Tensor,
    label: Tensor | None,
    x: Tensor,
    k: int,
    similarity: Similarity,
) -> Tensor:
    """The ``k`` of ``latents`` that decode to what is most like each example of ``x``, with shape (n, k, ...)."""

    def distances(z: Tensor) -> Tensor:
        made = decode(z, None if label is None else label.expand(len(z)))
        return torch.stack([similarity(made, one.expand_as(made)) for one in x], 1)

    best: Tensor = in_batches(distances, latents, most=64).T.argsort(1)[:, :k]
    return latents[best]


def autocorrelation(noise: Tensor) -> Tensor:
    """How alike neighbours are in noise maps with shape (n, 1, h, w), with shape (n,): equation 5 of appendix D.

    The squared correlation with the map moved by one pixel, to the side and down, summed over a pyramid down to 8
    pixels in which averages of four are doubled, so that white noise keeps its variance.
    """
    total = noise.new_zeros(len(noise))
    while True:
        for dim in (2, 3):
            total = total + (noise * noise.roll(1, dim)).mean((1, 2, 3)).square()
        if min(noise.shape[2:]) <= 8:
            return total
        noise = 2 * avg_pool2d(noise, 2)
