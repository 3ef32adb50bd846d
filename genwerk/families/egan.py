"""The evolutionary GAN: generators mutate by training with different objectives, and a discriminator selects them.

E-GAN: Wang, Xu, Yao & Tao, Evolutionary Generative Adversarial Networks, 2018, arXiv:1803.00657.

Done differently: a generation ends with the discriminator's steps, where the paper's begins with them. The first of
these is taken on the very examples that the children were judged by, as in the authors' code, but with the gradient
that judging them has computed already (unless they were judged by several batches). All children are one module with a
leading dimension of individuals, trained in one turn; each has its own state of the optimiser, which only the survivors
leave to their children. Parents begin with weights of their own, and which of several survivors generates an example
for the discriminator is drawn at random. The discriminator cannot have batch normalisation, for its score of one child
would depend on the others in the batch; the generators have none, as in the paper. Any objective may be a mutation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from genwerk.core.abilities import Diagnoses
from genwerk.core.errors import BadInput
from genwerk.core.model import Loss, Metrics, Player, TrainingStream, Turn, Turns
from genwerk.core.spec import Batch, DataSpec, join
from genwerk.families.adversarial import AdversarialConfig, AdversarialModel
from genwerk.nn.adversarial.dcgan import DCGANConfig
from genwerk.nn.adversarial.networks import AdversarialNetwork
from genwerk.nn.adversarial.objectives import Objective
from genwerk.nn.adversarial.penalties import TINY, gradient_penalty, r1
from genwerk.nn.adversarial.population import Population, select_rows


@dataclass(frozen=True, kw_only=True)
class EGANConfig(AdversarialConfig):
    """Settings of a population of generators and of the discriminator that judges them."""

    network: AdversarialNetwork = field(default_factory=DCGANConfig)
    """Layers of the generators, which have no normalisation, and of the discriminator."""
    norm: Literal["layer", "none"] = "none"
    """Normalisation in the discriminator."""
    mutations: tuple[str, ...] = ("minimax", "non-saturating", "least-squares")
    """Objectives by whose generator loss a child may be trained: one child of every parent for each."""
    parents: int = 1
    """Generators mu that survive a generation."""
    gamma: float = 0.01
    """Weight of diversity relative to quality in a child's fitness."""
    fitness_batches: int = 1
    """Batches of examples by which children are judged; from 2 on, the discriminator's steps take others."""
    discriminator_steps: int = 1
    """Steps n_D of the discriminator in a generation."""
    gradient_penalty: float = 0.0
    """Weight lambda of WGAN-GP's penalty."""
    r1: float = 0.0
    """Weight gamma of the R1 penalty (half the squared gradient at real examples)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.mutations or len({*self.mutations}) < len(self.mutations):
            raise BadInput(
                f"mutations are {', '.join(self.mutations) or 'none'}; a parent needs 1 or more, all different, say "
                "‹model.mutations› minimax non-saturating least-squares"
            )
        for name in self.mutations:
            Objective.of(name)
        for name in ("parents", "fitness_batches", "discriminator_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it counts from 1")

    @property
    def children(self) -> int:
        """Generators that a generation tries."""
        return self.parents * len(self.mutations)


def mutation(name: str) -> Callable[[Tensor], Tensor]:
    """A child's loss as a function of scores of its examples, with the paper's factors."""
    descended = Objective.of(name)().generator
    match name:
        case "minimax" | "non-saturating":
            return lambda score: 0.5 * descended(score)  # E log(1 - D(G(z))) / 2, -E log D(G(z)) / 2
        case "least-squares":
            return lambda score: 2 * descended(score.sigmoid())  # E (D(G(z)) - 1)^2
        case _:
            return descended


def as_vector(tensors: Iterable[Tensor]) -> Tensor:
    """``tensors``, of any layout in memory, as one vector."""
    return torch.cat([t.flatten() for t in tensors])


class EGAN(AdversarialModel, Diagnoses, config=EGANConfig):
    """Generators G_1, ..., G_mu and a discriminator D = sigmoid(score), with the game of the first GAN.

    Row j * M + m of the population is the child of parent j by mutation m, of M; between generations these M rows are
    the same survivor, the fittest first. Samples are those of row 0.
    """

    generator: Population
    wins: Tensor

    def __init__(self, config: EGANConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: EGANConfig = config
        self.mutations = [mutation(name) for name in config.mutations]
        pairs = [
            config.network.build(
                spec.shape,
                config.latent,
                norm=config.norm,
                generator_norm="none",
                classes=self.condition.classes,
                conditioning=config.conditioning,
            )
            for _ in range(config.parents)
        ]
        self.generator = Population([generator for generator, _ in pairs for _ in config.mutations])
        self.discriminator = pairs[0][1]
        self.register_buffer("wins", torch.zeros(len(config.mutations), dtype=torch.long))

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """One generation: variation, evaluation and selection of the generators, and then the discriminator's steps."""
        batch, n = stream.next_batch(), self.config.fitness_batches  # x ~ data
        yield Turn("generator", self.variation, self.latents(stream), batch.condition)  # variation
        judged = join([batch, *(stream.next_batch() for _ in range(n - 1))])
        z, u = torch.cat([self.latents(stream) for _ in range(n)]), stream.uniform(2)
        report = yield Turn(None, self.evaluation, judged, z)  # evaluation
        fittest, figures = self.selection(report)  # the best mu of all children, and no parent
        rows = fittest.repeat_interleave(len(self.mutations))
        players["generator"].restore(select_rows(players["generator"].snapshot(), rows))
        value, gradient = report["losses"][fittest].mean(), report["gradients"][fittest].mean(0)
        if n == 1:  # the loss and its gradient on these examples are known
            known = self.known_loss
            yield Turn("discriminator", known, batch, z, u, value=value, gradient=gradient, figures=figures)
        for step in range(n == 1, self.config.discriminator_steps):
            x, z, u = stream.next_batch(), self.latents(stream), stream.uniform(2)
            yield Turn("discriminator", self.discriminator_loss, x, z, u, figures={} if step else figures)

    @property
    def batches(self) -> int:
        """One for the variation, the rest of those that judge it, and one for each step that has none of these."""
        return self.config.fitness_batches + self.config.discriminator_steps - (self.config.fitness_batches == 1)

    def variation(self, z: Tensor, condition: Tensor | None) -> Loss:
        """The sum over children, each with its own mutation, whose gradient is that of every child alone."""
        c = self.condition.check(condition, self)
        fake = self.squash(self.generator(z, c))
        output = self.discriminator(fake.flatten(0, 1), None if c is None else c.repeat(len(fake)))
        scores = output.score.unflatten(0, fake.shape[:2])
        return torch.stack([mutate(s) for mutate, s in zip(cycle(self.mutations), scores, strict=False)]).sum(), {}

    def evaluation(self, batch: Batch, z: Tensor) -> Loss:
        """By child: quality E D(G(z)), and the discriminator's loss with its gradient, of shape (children, weights)."""
        c = self.condition.check(batch.condition, self)
        _, on_real, of_real = self._judged(self.inward(batch.x), c, lambda score: softplus(-score))  # -log D(x)
        found = [self._judged(fake, c, softplus) for fake in self.squash(self.generator(z, c))]  # -log (1 - D(G(z)))
        scores, on_fake, of_fake = zip(*found, strict=True)
        quality, losses = torch.stack(scores).sigmoid().mean(1), on_real + torch.stack(on_fake)
        gradients = of_real + torch.stack(of_fake)
        return losses.mean(), {"quality": quality, "losses": losses, "gradients": gradients}

    def _judged(self, x: Tensor, c: Tensor | None, loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """D's scores of ``x``, the mean of ``loss`` of them, and its gradient by all weights of D as one vector."""
        with torch.enable_grad():
            score = self.discriminator(x, c).score
            value = loss(score).mean()
            gradient = torch.autograd.grad(value, list(self.discriminator.parameters()))
        return score.detach(), value.detach(), as_vector(gradient)

    def selection(self, report: Metrics) -> tuple[Tensor, Metrics]:
        """Rows of the mu fittest children, best first, and figures of the best; counts its mutation's win."""
        quality = report["quality"]  # F_q = E D(G(z))
        diversity = -report["gradients"].norm(dim=1).clamp_min(TINY).log()  # F_d = -log |grad|
        fitness = quality + self.config.gamma * diversity  # F = F_q + gamma F_d
        fittest = fitness.topk(self.config.parents).indices
        best = fittest[0]
        won = torch.arange(len(self.wins), device=self.wins.device) == best % len(self.wins)
        self.wins += won
        figures = {"fitness": fitness[best], "quality": quality[best], "diversity": diversity[best]}
        named = zip(self.config.mutations, won.to(quality.dtype).unbind(), strict=True)
        return fittest, figures | {f"{name} won": value for name, value in named}

    def known_loss(self, batch: Batch, z: Tensor, u: Tensor, value: Tensor, gradient: Tensor, figures: Metrics) -> Loss:
        """The loss of which ``value`` and the ``gradient`` by all weights of D are known already, and penalties."""
        weights = as_vector(self.discriminator.parameters())
        penalty, metrics = self.penalty(batch, z, u)
        return value + (gradient * (weights - weights.detach())).sum() + penalty, figures | metrics

    def discriminator_loss(self, batch: Batch, z: Tensor, u: Tensor, figures: Metrics) -> Loss:
        """The first GAN's loss, -E log D(x) - E log (1 - D(G(z))), and penalties; ``u`` is uniform of shape (n, 2)."""
        c = self.condition.check(batch.condition, self)
        on_real = self.discriminator(self.inward(batch.x), c).score
        on_fake = self.discriminator(self._by_survivors(z, c, u), c).score
        penalty, metrics = self.penalty(batch, z, u)
        return softplus(-on_real).mean() + softplus(on_fake).mean() + penalty, figures | metrics

    def penalty(self, batch: Batch, z: Tensor, u: Tensor) -> Loss:
        """The weighted penalties on the discriminator."""
        c, x = self.condition.check(batch.condition, self), self.inward(batch.x)
        total, metrics = x.new_zeros(()), Metrics()
        if self.config.gradient_penalty:
            fake = self._by_survivors(z, c, u)
            metrics["penalty"] = gradient_penalty(lambda x: self.discriminator(x, c).score, x, fake, u[:, 0])
            total = total + self.config.gradient_penalty * metrics["penalty"]
        if self.config.r1:
            metrics["r1"] = r1(lambda x: self.discriminator(x, c).score, x)
            total = total + self.config.r1 * metrics["r1"]
        return total, metrics

    @torch.no_grad()
    def _by_survivors(self, z: Tensor, c: Tensor | None, u: Tensor) -> Tensor:
        """One example for every z, each made by the survivor that ``u[:, 1]`` draws."""
        fake = self.squash(self.generator(z, c, rows=range(0, self.config.children, len(self.mutations))))
        who = (u[:, 1] * len(fake)).long().clamp_max(len(fake) - 1)
        return fake[who, torch.arange(len(z), device=z.device)]

    # --- abilities ----------------------------------------------------------------------------------------------------

    def generate(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """G(z) of the fittest survivor, in the networks' units."""
        return self.squash(self.generator(z, condition, rows=(0,))[0])

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """The share of generations won by every mutation (of any ``x`` the same)."""
        shares = self.wins / self.wins.sum().clamp_min(1)
        return {f"{name} won": share for name, share in zip(self.config.mutations, shares, strict=True)}
