"""Gaussian mixtures by expectation maximisation.

A. P. Dempster, N. M. Laird, D. B. Rubin: Maximum likelihood from incomplete data via the EM algorithm, 1977.
D. Arthur, S. Vassilvitskii: k-means++: the advantages of careful seeding, 2007.
G. Schwarz: Estimating the dimension of a model, 1978 (the Bayesian information criterion, BIC).

An EM iteration is one turn without a player. Its loss reports moments averaged over the examples, so micro-batches and
processes add up to the whole batch exactly; the M step follows the ``yield``. Different from common practice:

* All arithmetic is float64 on centred, scaled data, and full covariances are re-estimated from the residuals that the
  E step has whitened already. Data at a great offset lose nothing, and the two steps share their work.
* Pixels are levels blurred by uniform noise of one level. The noise is integrated, not drawn: with responsibilities
  held within a level it adds 1/12 to every variance in the M step and takes tr(inverse covariance) / 24 off every
  component's log-density in the E step. So EM is deterministic and never goes down, and ``log_prob`` never exceeds the
  average log-density of dequantised data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from genwerk.core.abilities import Completes, Completion, Diagnoses, HasLikelihood, Samples
from genwerk.core.model import Config, Loss, Metrics, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.noise import Seed, SeededNoise, mix
from genwerk.core.options import Options
from genwerk.core.printable import count
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.nn.gaussians import Covariance, Gaussians, choose, factor_shape, factorise, free_parameters, standard
from genwerk.nn.k_means import k_means

CHUNK = {"cpu": 2**18, "cuda": 2**25}
"""Greatest number of float64 values in one temporary, which bounds memory and on a CPU stays in the cache."""
SURVEYED = 20_000
"""Greatest number of examples from which offset, scale and the k-means start are taken."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig(Config):
    """Settings of a Gaussian mixture."""

    components: tuple[int, ...] = (10,)
    """Number of components, or several numbers of which the lowest BIC chooses one."""
    covariance: Covariance = "full"
    """A matrix each, one matrix for all, variances each, or one variance each."""
    starts: int = 1
    """Starts from different k-means clusterings, for every number of components; the most likely result is kept."""
    tolerance: float = 1e-3
    """Change of the mean log-likelihood between two rounds, in nats, below which a start has converged."""
    ridge: float = 1e-6
    """Added to every variance: in squared levels for images, otherwise relative to each column's variance in the data
    (for spherical components, to the mean of the columns' variances)."""
    seed: int = 0
    """Seed of the k-means starts."""

    def __post_init__(self) -> None:
        if not self.components or min(self.components) < 1:
            raise ValueError(
                f"components is {self.components}; give one or more positive numbers, such as 10 or 5 10 20"
            )
        if self.starts < 1:
            raise ValueError(f"starts is {self.starts}; it must be 1 or more")
        if self.ridge < 0 or self.tolerance < 0:
            raise ValueError(f"ridge is {self.ridge} and tolerance {self.tolerance}; neither may be negative")


def mean_of(sums: Iterable[Metrics], n: int) -> Metrics:
    """The total of ``sums``, name by name, over ``n``."""
    total: Metrics = {}
    for part in sums:
        total = {name: total[name] + value if total else value for name, value in part.items()}
    return {name: value / n for name, value in total.items()}


class Mixture(Model, Samples, HasLikelihood, Completes, Diagnoses, config=MixtureConfig):
    """A weighted sum of Gaussians.

    Two mixtures are kept in buffers of the largest number of components: the one that samples and scores, and the trial
    that EM fits. The trial replaces the other whenever its BIC is lower.
    """

    offset: Tensor
    scale: Tensor
    stage: Tensor
    round: Tensor
    log_p: Tensor
    holder: Tensor
    lowest: Tensor
    counted: Tensor

    def __init__(self, config: MixtureConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: MixtureConfig = config
        if not spec.modality.numeric:
            raise ValueError("a mixture of Gaussians cannot describe text; it needs a table, images or audio")
        d, k = spec.dims, max(config.components)
        self.levelled = spec.modality.has_levels
        self.blur = 1 / 12 if self.levelled else 0.0
        self.unit = spec.levels - 1 if self.levelled else 1
        self.scored = "the stored levels, blurred by uniform noise of one level" if self.levelled else ""
        for name in ("", "trial_"):
            for part, value in vars(standard(config.covariance, k, d, self.blur)).items():
                if isinstance(value, Tensor):
                    self.register_buffer(name + part, value.clone())
        self.register_buffer("offset", torch.full((d,), self.unit / 2 if self.levelled else 0.0, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(d, dtype=torch.float64))
        for name in ("log_p", "lowest"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        for name, value in (("stage", -1), ("holder", -1), ("round", 0), ("counted", 0)):
            self.register_buffer(name, torch.tensor(value))
        self.settled = False
        """Whether the last iteration changed the log-likelihood by less than the tolerance."""

    # --- training -----------------------------------------------------------------------------------------------------

    def stages(self, rounds: int) -> Sequence[Stage]:
        """One for every number of components and start; a round is an iteration of EM on all examples.

        BIC chooses among them without held-out examples, so none of them is judged by any.
        """
        starts = self.config.starts
        return [
            Stage(
                count(k, "component") + f", start {start + 1}" * (starts > 1),
                rounds,
                self.turns,
                partial(self.begin, i * starts + start),
                batch_size=0,
                judged=False,
                converged=lambda: self.settled,
            )
            for i, k in enumerate(self.config.components)
            for start in range(starts)
        ]

    @torch.no_grad()
    def begin(self, stage: int, data: Dataset) -> Dataset:
        """Start the trial of ``stage`` from clusters of at most SURVEYED examples; ``data`` comes back as it is.

        A trial that has begun in this stage goes on (a run resumed, or trained again).
        """
        self.counted.fill_(len(data))
        if int(self.stage) == stage:
            return data
        generator = torch.Generator().manual_seed(mix(self.config.seed))
        rows = torch.randperm(len(data), generator=generator)[:SURVEYED].to(data.device)
        x = data.batch(rows).x.to(self.device).flatten(1).double() * self.unit
        self.offset.copy_(x.mean(0))
        if not self.levelled:
            spread = (x - self.offset).square().mean(0).where(x.amin(0) < x.amax(0), 0.0)
            if self.config.covariance == "spherical":
                spread = spread.mean().expand_as(spread)
            self.scale.copy_(spread.sqrt().where(spread > 0, 1.0))
        v = (x - self.offset) / self.scale
        k = self.config.components[stage // self.config.starts]
        label = k_means(v, k, generator.manual_seed(mix(self.config.seed, stage)))
        self._write("trial_", self._clustered(v, label))
        for name, value in (("stage", stage), ("round", 0)):
            getattr(self, name).fill_(value)
        if stage == 0:
            self.holder.fill_(-1)
        return data

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """One iteration of EM on the trial, which has settled when its log-likelihood has."""
        assert int(self.stage) >= 0, "neither begin() nor place() has set a start"
        trial = self._read("trial_")
        found = yield Turn(None, self.expect, stream.next_batch(), gaussians=trial)
        trial = trial.maximised(found["weight"], found["first"], found["second"], self.config.ridge)
        self._write("trial_", trial)
        if bool((self.holder == self.stage) | (self.holder < 0) | (found["bic"] < self.lowest)):
            self._write("", trial)
            self.holder.copy_(self.stage)
            self.lowest.copy_(found["bic"])
        self.settled = bool((self.round > 0) & ((found["log_p"] - self.log_p).abs() < self.config.tolerance))
        self.log_p.copy_(found["log_p"])
        self.round.add_(1)

    def expect(self, batch: Batch, gaussians: Gaussians) -> Loss:
        """The E step: minus the mean log-likelihood in nats, with the mean moments of the examples."""
        parts = batch.x.split(self._chunk)
        means = mean_of((gaussians.moments(self._inward(part)) for part in parts), len(batch))
        log_p = means["log_p"] - self.scale.log().sum()
        return -log_p, {**means, "log_p": log_p, "bic": self._bic(len(gaussians.weight), log_p, self.counted)}

    def place(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Make this the mixture of ``weights`` (k,), ``means`` (k, d) and ``covariances``, in the units of the data.

        ``covariances`` have shape (k, d, d) if full, (d, d) if tied, (k, d) if diagonal and (k,) or (k, 1) if
        spherical; images are flattened and counted in levels. Rounds of :meth:`turns` go on from here, with the
        ridge in squared units of the data.
        """
        k, d = len(weights), self.spec.dims
        shape = factor_shape(self.config.covariance, k, d)
        if self.config.covariance == "spherical":
            covariances = covariances.reshape(-1, 1)
        if k > len(self.get_buffer("weight")) or means.shape != (k, d):
            raise ValueError(
                f"means have shape {tuple(means.shape)}; expected one row of {d} numbers for each of at most "
                f"{len(self.get_buffer('weight'))} components"
            )
        if covariances.shape != shape:
            raise ValueError(
                f"{self.config.covariance} covariances have shape {tuple(covariances.shape)}; expected {shape}"
            )
        weights, means, covariances = (t.to(self.offset) for t in (weights, means, covariances))
        self.offset.copy_(weights @ means / weights.sum())
        self.scale.fill_(1.0)
        factor = factorise(self.config.covariance, covariances, 0.0)
        mixture = Gaussians(self.config.covariance, weights / weights.sum(), means - self.offset, factor)
        self._write("", mixture)
        self._write("trial_", mixture)
        for name, value in (("stage", 0), ("holder", -1), ("round", 0), ("counted", 1)):
            getattr(self, name).fill_(value)

    # --- abilities ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        self.options.chosen(options)
        self._unconditional(condition)
        noise, gaussians = SeededNoise(n, seed, self.device), self._read()
        component = choose(gaussians.weight.log()[None], noise.uniform().double()[None])[0]
        eps = noise.normal(self.spec.dims).double()
        return self._outward(gaussians.mean[component] + gaussians.deviate(component, eps))

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log-likelihood in nats per example with shape (n,), float64.

        Images are levels blurred by uniform noise of one level: a lower bound on their log-probability, and the mean
        log-density of the blurred levels exactly where responsibilities do not change within a level.
        """
        self._unconditional(condition)
        return self._joint(x).logsumexp(1) - self.scale.log().sum()

    def responsibilities(self, x: Tensor) -> Tensor:
        """Posterior probability of every component in use given each example, with shape (n, k)."""
        return self._joint(x).softmax(1)

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
        """``k`` draws from the mixture given what is known of each example.

        Entries of ``x`` that are not known may hold anything. Examples with the same mask are computed together.
        """
        self.options.chosen(options)
        self._unconditional(condition)
        if known.dtype != torch.bool:
            raise ValueError(f"known is {known.dtype}; expected booleans, True where a value is observed")
        noise, gaussians = SeededNoise(len(x), seed, self.device), self._read()
        u, eps = noise.uniform(k).double(), noise.normal(k, self.spec.dims).double()
        known = known.expand_as(x)
        v = self._inward(x)[:, None].repeat(1, k, 1)
        log_prob = v.new_empty(len(x), k)
        masks, which = known.flatten(1).unique(dim=0, return_inverse=True)
        for i, mask in enumerate(masks):
            rows = (which == i).nonzero().squeeze(1)
            log_weight, mean, rest = gaussians.given(v[rows, 0], mask)
            component = choose(log_weight, u[rows])
            picked = mean.gather(1, component[:, :, None].expand(-1, -1, mean.shape[2]))
            drawn = rest.deviate(component.flatten(), eps[rows][:, :, ~mask].flatten(0, 1))
            missing = (~mask).nonzero().squeeze(1)
            v[rows[:, None], :, missing] = (picked + drawn.view_as(picked)).mT
            joint = gaussians.log_joint(v[rows].flatten(0, 1)).logsumexp(1).view(-1, k)
            log_prob[rows] = joint - log_weight.logsumexp(1, keepdim=True) - self._unit(~mask)
        return Completion(torch.where(known[:, None], x[:, None], self._outward(v).to(x.dtype)), log_prob)

    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """The number of components in use, and the BIC of the training data before the last iteration, in nats.

        Neither depends on ``x``. Between mixtures of the same data the lower BIC is better.
        """
        self._unconditional(condition)
        found = {"components": self.get_buffer("weight").count_nonzero()}
        return found if self.holder < 0 else found | {"BIC of the training data": self.lowest}

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _bic(self, components: int, log_p: Tensor, n: Tensor) -> Tensor:
        """BIC of ``n`` examples whose mean log-likelihood is ``log_p``: free parameters x log n - 2 n log_p."""
        return free_parameters(self.config.covariance, components, self.spec.dims) * n.double().log() - 2 * n * log_p

    def _unit(self, mask: Tensor) -> Tensor:
        """Sum of log scale over the values of ``mask`` (d,)."""
        return self.scale.log().expand(self.spec.dims)[mask].sum()

    def _joint(self, x: Tensor) -> Tensor:
        gaussians = self._read()
        return torch.cat([gaussians.log_joint(self._inward(part)) for part in x.split(self._chunk)])

    def _clustered(self, v: Tensor, label: Tensor) -> Gaussians:
        """The M step on a clustering of ``v`` (n, d), with one component a cluster."""
        k, size = int(label.max()) + 1, self._chunk
        r = torch.nn.functional.one_hot(label, k).to(v)
        blank = standard(self.config.covariance, k, self.spec.dims, self.blur, v.device)
        means = mean_of((blank.moments(*part) for part in zip(v.split(size), r.split(size), strict=True)), len(v))
        return blank.maximised(means["weight"], means["first"], means["second"], self.config.ridge)

    def _read(self, name: str = "") -> Gaussians:
        """The components in use, which come first, of the mixture whose buffers' names begin with ``name``."""
        weight, mean, factor = (self.get_buffer(name + part) for part in ("weight", "mean", "factor"))
        k = int(weight.count_nonzero())
        factor = factor if self.config.covariance == "tied" else factor[:k]
        return Gaussians(self.config.covariance, weight[:k], mean[:k], factor, self.blur)

    def _write(self, name: str, mixture: Gaussians) -> None:
        """Keep ``mixture``; places beyond its components get weight zero."""
        for part in ("weight", "mean", "factor"):
            buffer, value = self.get_buffer(name + part), getattr(mixture, part)
            buffer[: len(value)] = value
        self.get_buffer(name + "weight")[len(mixture.weight) :] = 0

    def _inward(self, x: Tensor) -> Tensor:
        """Examples as the centred, scaled float64 rows that the Gaussians describe."""
        return (x.flatten(1).double() - self.offset / self.unit).mul_(self.unit / self.scale)

    def _outward(self, v: Tensor) -> Tensor:
        """Rows with shape (..., d) as examples; pixels are rounded to the nearest level."""
        x: Tensor = v * self.scale + self.offset
        if self.levelled:
            x = x.round().clamp(0, self.unit) / self.unit
        return x.to(self.spec.modality.dtype).view(*x.shape[:-1], *self.spec.shape)

    def _unconditional(self, condition: Tensor | None) -> None:
        if condition is not None:
            raise ValueError("a mixture takes no condition; leave it out")

    @property
    def _chunk(self) -> int:
        """Examples taken at once."""
        each = self.spec.dims * (max(self.config.components) if self.config.covariance == "full" else 1)
        return max(64, CHUNK.get(self.offset.device.type, CHUNK["cpu"]) // each)
