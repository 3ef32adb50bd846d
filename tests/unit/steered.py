"""Generators whose every answer is known: a linear one, a bumpy one and one of two styles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genwerk.core.abilities import HasLatentPrior, Samples, Styles
from genwerk.core.condition import Label
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Model
from genwerk.core.noise import SeededNoise
from genwerk.core.options import Options
from genwerk.core.spec import DataSpec

TABLE = DataSpec(kind="table", shape=(5,))
IMAGE = DataSpec(kind="image", shape=(1, 8, 8), levels=17, classes=tuple("0123456789"))


class Linear(Model, Samples, HasLatentPrior):
    """x = A z of z ~ N(0, I) in three dimensions, where the columns of A are linearly independent."""

    latent_shape = (3,)

    def __init__(self) -> None:
        super().__init__(Config(), TABLE)
        self.a = nn.Parameter(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))

    def prior(self, n: int, *, seed: int | None = None) -> Tensor:
        return SeededNoise(n, seed).normal(3)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z @ self.a.T.to(z)

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        return self.decode(self.prior(n, seed=seed)).detach()


class Bumpy(Linear):
    """x = z + sin(4 z), which has many valleys on the way to any target."""

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        x = z + torch.sin(4 * z)
        return torch.cat([x, x[:, :2]], 1)


class Told(Linear):
    """x = A z + the class, of two."""

    condition = Label(("a", "b"))

    def __init__(self) -> None:
        super().__init__()
        self.spec = DataSpec(kind="table", shape=(5,), classes=("a", "b"))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        return super().decode(z) + condition[:, None]


@dataclass(frozen=True, kw_only=True)
class TwoStylesConfig(Config):
    """Settings of a generator of two styles."""

    tracked: bool = True
    """Whether there is a mean style."""


class TwoStyles(Model, Samples, Styles, config=TwoStylesConfig):
    """Images in quarters: the first style sets the grey of the left two, the second that of the right two.

    w = (z + 2) / 4 in two dimensions, and a tenth of a noise map is added at each layer.
    """

    latent_shape = (2,)
    style_sizes = (4, 8)

    def __init__(self, config: TwoStylesConfig | None = None, spec: DataSpec = IMAGE) -> None:
        super().__init__(config or TwoStylesConfig(), spec)
        self.scale = nn.Parameter(torch.tensor(0.25))
        self.register_buffer("fixed", torch.zeros(1, 1, 8, 8))

    def prior(self, n: int, *, seed: int | None = None) -> Tensor:
        return SeededNoise(n, seed).normal(2)

    def map(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return (self.scale * (z + 2)).unsqueeze(1).expand(-1, 2, -1)

    def mean_style(self) -> Tensor:
        if not self.config.tracked:
            raise BadInput("this model tracked no mean style in training")
        return torch.full((2,), 0.5)

    def draw_noise(self, n: int, *, seed: int | None = None) -> list[Tensor]:
        noise = SeededNoise(n, seed)
        return [noise.normal(1, 8, 8), noise.normal(1, 8, 8)]

    def synthesise(self, w: Tensor, noise: list[Tensor] | None = None) -> Tensor:
        quarters = w.transpose(1, 2).unsqueeze(1)
        image = quarters.repeat_interleave(4, 2).repeat_interleave(4, 3)
        return image + 0.1 * sum(noise or [self.fixed])

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.synthesise(self.map(z, condition))

    @torch.no_grad()
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        return self.decode(self.prior(n, seed=seed))


class ToldStyles(TwoStyles):
    """As above, and a tenth of the class is added to every style."""

    condition = Label(("a", "b", "c", "d"))

    def map(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        return super().map(z) + 0.1 * condition[:, None, None]
