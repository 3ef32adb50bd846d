"""A GAN of good solutions, whose discriminator knows three classes: good, given up, and generated.

After He, Huang, Cheng, Tan & Jin, Evolutionary multiobjective optimization driven by generative adversarial networks,
2021, IEEE Transactions on Cybernetics 51(6), arXiv:1910.04966 (GMOEA): real are the solutions that survive, fake those
that do not and those that are generated.

Done differently: the generator is residual, a sample of the Gaussian of the good solutions plus what the network adds,
which is nothing at first; "given up" are solutions that were evaluated and lost, not the worse part of the population;
the discriminator has a logit for each kind of fake, so that good solutions do not look bad for being imitated; and it
is used after training: surplus proposals of every operator are filtered by the first logit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genwerk.core.model import Loss, Turn
from genwerk.evolve.operators.gaussian import LocalGaussian
from genwerk.evolve.operators.lanes import Linear, Players, of_runs, tensor
from genwerk.evolve.operators.operator import Array, Operator, Pool, Rngs
from genwerk.training.settings import OptimConfig


class Residual(nn.Module):
    """z + f(z), where f has one hidden layer and starts at nought."""

    def __init__(self, d: int, width: int, rngs: Rngs) -> None:
        super().__init__()
        self.d = d
        self.hidden, self.out = Linear(d, width, rngs), Linear(width, d, rngs, scale=0.0)

    def forward(self, z: Tensor) -> Tensor:
        return z + self.out(torch.tanh(self.hidden(z)))


class Discriminator(nn.Module):
    """Two hidden layers and two logits a solution: (R, n, d) to (R, n, 2); good against given up, real against
    generated."""

    def __init__(self, d: int, width: int, rngs: Rngs) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Linear(d, width, rngs), nn.Tanh(), Linear(width, width, rngs), nn.Tanh(), Linear(width, 2, rngs)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


def directions(f: Array, lost: Array) -> tuple[Array, Array]:
    """Unit vectors from the ideal point to objectives ``f`` (n, m), scaled by their range, and to ``lost`` (k, m)."""
    low, span = f.min(axis=0), np.maximum(np.ptp(f, axis=0), 1e-12)
    scaled = [(each - low) / span + 1e-6 for each in (f, lost)]
    first, second = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in scaled)
    return first, second


class GAN(Operator):
    """The generative adversarial network of GMOEA; weights and Adam's moments are kept between trainings.

    A training is ``steps`` turns of the discriminator, each on ``batch`` good solutions, as many given up and as many
    generated, and a turn of the generator after every ``critic`` of them.
    """

    name = "GAN"
    players: Players

    def __init__(
        self, width: int = 32, steps: int = 60, batch: int = 32, lr: float = 3e-3, critic: int = 4, rivals: int = 20
    ) -> None:
        self.width, self.steps, self.batch, self.lr = width, steps, batch, lr
        self.critic, self.rivals = critic, rivals
        self.generator: Residual | None = None
        self.gaussians = LocalGaussian()

    def build(self, d: int, rngs: Rngs) -> None:
        self.generator, self.discriminator = Residual(d, self.width, rngs), Discriminator(d, self.width, rngs)
        optim = OptimConfig(lr=self.lr, betas=(0.5, 0.999), weight_decay=1e-4)
        both = {"generator": self.generator, "discriminator": self.discriminator}
        self.players = Players(both, dict.fromkeys(both, optim))

    def fit(self, pool: Pool, rngs: Rngs) -> Mapping[str, Array]:
        if self.generator is None:
            self.build(pool.x.shape[2], rngs)
        self.gaussians.fit(pool, rngs)
        losses = {"generator": np.full(pool.runs, np.nan), "discriminator": np.full(pool.runs, np.nan)}
        batches = self.steps if pool.lost.shape[1] else 0  # nothing is known to be bad at first
        real, lost = self.draw(pool, batches, rngs)
        latent = tensor(self.gaussians.propose([batches * self.batch] * pool.runs, rngs)).unflatten(
            1, (batches, self.batch)
        )
        for step in range(batches):
            z = latent[:, step]
            turn = Turn("discriminator", self.discriminator_loss, real=real[:, step], lost=lost[:, step], z=z)
            losses["discriminator"] = self.players.take(turn)
            if step % self.critic == self.critic - 1:
                losses["generator"] = self.players.take(Turn("generator", self.generator_loss, z=z))
        return {f"{name} loss": loss for name, loss in losses.items()}

    def draw(self, pool: Pool, batches: int, rngs: Rngs) -> tuple[Tensor, Tensor]:
        """Batches of good solutions, and with each one that was given up in the same direction of objective space, both
        with shape (R, batches, batch, d): better is to be learned, not which part of the front is larger."""
        real, lost = [], []
        for r, rng in enumerate(rngs if batches else []):
            scaled, scaled_lost = directions(pool.f[r], pool.lost_f[r])
            near = np.argsort(-scaled @ scaled_lost.T, axis=1)[:, : self.rivals]
            i = rng.integers(len(scaled), size=(batches, self.batch))
            real.append(pool.x[r, i])
            lost.append(pool.lost[r, near[i, rng.integers(near.shape[1], size=i.shape)]])
        return tensor(real), tensor(lost)

    def discriminator_loss(self, real: Tensor, lost: Tensor, z: Tensor) -> Loss:
        """Binary cross-entropy of the good against those given up, by the first logit, and, by the second, against the
        generated."""
        assert self.generator is not None
        with torch.no_grad():
            generated = self.generator(z)
        good, bad, fake = self.discriminator(torch.cat([real, lost, generated], dim=1)).chunk(3, dim=1)
        return of_runs(softplus(-good).sum(-1) + softplus(bad[..., 0]) + softplus(fake[..., 1]))

    def generator_loss(self, z: Tensor) -> Loss:
        """What is generated should look good and real."""
        assert self.generator is not None
        return of_runs(softplus(-self.discriminator(self.generator(z))))

    def propose(self, n: Sequence[int], rngs: Rngs, siblings: int = 1) -> list[Array]:
        assert self.generator is not None
        latent = self.gaussians.propose(n, rngs, siblings)
        padded = np.zeros((len(n), max(n), self.generator.d))
        for r, z in enumerate(latent):
            padded[r, : n[r]] = z
        with torch.no_grad():
            made: Tensor = self.generator(tensor(padded))
        return [x[:k] for x, k in zip(made.double().numpy(), n, strict=True)]

    def score(self, x: Array) -> Array | None:
        if not self.players.turns:
            return None
        with torch.no_grad():
            logits: Tensor = self.discriminator(tensor(x))
        return logits[..., 0].double().numpy()
