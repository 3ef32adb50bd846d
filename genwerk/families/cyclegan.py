"""Translation between two domains without pairs: there and back again an image is the same.

CycleGAN: Zhu, Park, Isola & Efros, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks,
2017, arXiv:1703.10593. The pool: Shrivastava et al., 2017, arXiv:1612.07828. The mask: Pumarola et al., GANimation,
2018, arXiv:1807.09251. Distances, optional: Benaim & Wolf, One-Sided Unsupervised Domain Mapping (DistanceGAN), 2017,
arXiv:1706.00826.

Done differently: with several processes each has a pool of its own, which a resumed run begins with that of the first;
means and deviations of distances are those of a batch and not of the training set, which need not be gone through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from genwerk.core.errors import BadInput, BadSetting
from genwerk.core.model import Config, Loss, Metrics, Player, TrainingStream, Turn, Turns
from genwerk.core.spec import DataSpec
from genwerk.families.two_domains import TwoDomains
from genwerk.nn.adversarial.objectives import LeastSquares, Objective, accuracy
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.translation import ResNetGeneratorConfig, TranslationNetwork
from genwerk.nn.translation.output import Output, channels


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig(Config):
    """Settings of two generators, one each way, and of a discriminator of each domain."""

    network: TranslationNetwork = field(default_factory=ResNetGeneratorConfig)
    """Layers of each generator."""
    output: Output = "image"
    """What a generator makes: the image, one with a mask of what of it replaces the source, or maps of colours."""
    discriminator: PatchGANConfig = field(default_factory=PatchGANConfig)
    """Layers of each discriminator."""
    objective: Objective = field(default_factory=LeastSquares)
    """The losses of the players."""
    adversarial: float = 2.0
    """Weight of the objective for the generators; 2 is the paper's, whose least squares are not halved."""
    cycle: float = 10.0
    """Weight lambda of the mean absolute error after the way there and back."""
    identity: float = 0.5
    """Weight, as a multiple of lambda, of what a generator changes in images of its own domain (section 5.2)."""
    distance: float = 0.0
    """Weight of how much the distances between images of a batch change from their domain to the other (DistanceGAN):
    images that are alike are to be alike in the other domain, so that their content is not exchanged."""
    pool: int = 50
    """Generated images of each domain that are kept to be shown to the discriminator again; 0 keeps none."""

    def __post_init__(self) -> None:
        for name in ("adversarial", "cycle", "identity", "distance", "pool"):
            if (value := getattr(self, name)) < 0:
                raise BadSetting(name, f"is {value:g}; expected 0 or more")


class CycleGAN(TwoDomains, config=CycleGANConfig):
    """G: A -> B and F: B -> A with F(G(a)) = a and G(F(b)) = b, each against a discriminator of its domain."""

    pool: Tensor
    pooled: Tensor

    def __init__(self, config: CycleGANConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: CycleGANConfig = config
        self.output, shape = config.output, spec.shape
        self.margin, self.stride = config.network.margin, config.network.stride
        out = channels(config.output, shape[0])
        self.generators = nn.ModuleList(config.network.build(shape[0], out, 1) for _ in range(2))  # to A, to B
        self.discriminators = nn.ModuleList(config.discriminator.build(shape) for _ in range(2))
        self.register_buffer("pool", torch.zeros(2, config.pool, *shape))
        self.register_buffer("pooled", torch.tensor(0))  # images in the pool of each domain

    def players(self) -> Mapping[str, nn.Module]:
        return {"discriminator": self.discriminators, "generator": self.generators}

    @property
    def couples(self) -> tuple[str, ...]:
        pool = ("the pool of generated images",) if self.config.pool else ()
        return (*pool, "the distances between images") if self.config.distance else pool

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """A step on both generators, then one on both discriminators, with images of the pool (section 4)."""
        x, u = stream.next_batch().x, stream.uniform(2, 2)
        fakes: list[Tensor] = []
        yield Turn("generator", self.generator_loss, x, fakes=fakes)
        yield Turn("discriminator", self.discriminator_loss, x, self.from_pool(torch.cat(fakes), u))

    def generator_loss(self, x: Tensor, fakes: list[Tensor]) -> Loss:
        """Equation 3 as the generators see it, with the identity loss and that of distances; what they make is put into
        ``fakes``."""
        config, both = self.config, (2 * x - 1).unbind(1)
        adversarial, cycle, identity, distance = [], [], [], []
        made: dict[int, Tensor] = {}
        for k, domain in enumerate(both):  # the source's own domain is k
            to, back = self.generator_to(1 - k), self.generator_to(k)
            made[1 - k], _ = self.generate(to, domain)
            adversarial.append(config.objective.generator(self.score(made[1 - k], 1 - k)))
            cycle.append((self.generate(back, made[1 - k])[0] - domain).abs().mean())
            if config.identity:
                identity.append((self.generate(back, domain)[0] - domain).abs().mean())
            if config.distance:
                distance.append(change_of_distances(domain, made[1 - k], both[1 - k]))
        fakes.append(torch.stack([made[0], made[1]], 1).detach())
        metrics: Metrics = {"adversarial": sum(adversarial, x.new_zeros(())), "cycle": sum(cycle, x.new_zeros(()))}
        loss = config.adversarial * metrics["adversarial"] + config.cycle * metrics["cycle"]
        if config.identity:
            metrics["identity"] = sum(identity, x.new_zeros(()))
            loss = loss + config.cycle * config.identity * metrics["identity"]
        if config.distance:
            metrics["distance"] = sum(distance, x.new_zeros(()))
            loss = loss + config.distance * metrics["distance"]
        return loss, metrics

    def discriminator_loss(self, x: Tensor, fakes: Tensor) -> Loss:
        """Equation 1 as the discriminators see it; ``fakes`` has shape (n, 2, c, h, w)."""
        objective, real = self.config.objective, 2 * x - 1
        scores = [(self.score(real[:, k], k), self.score(fakes[:, k], k)) for k in range(2)]
        loss = torch.stack([objective.discriminator(*each) for each in scores]).sum()
        on_real, on_fake = (torch.stack(each) for each in zip(*scores, strict=True))
        return loss, accuracy(objective, on_real, on_fake)

    def score(self, x: Tensor, domain: int) -> Tensor:
        """Scores of patches, by the discriminator of ``domain``."""
        score, _ = self.discriminators[domain](x)
        return self.config.objective.score(score)

    @torch.no_grad()
    def from_pool(self, fakes: Tensor, u: Tensor) -> Tensor:
        """Generated images (n, 2, c, h, w), half of which, once the pool is full, are exchanged for one in it each.

        ``u`` is uniform with shape (n, 2, 2): whether an image is exchanged, and for which.
        """
        if not self.config.pool:
            return fakes
        shown = fakes.clone()
        for image, row, draws in zip(fakes, shown, u, strict=True):
            if self.pooled < self.config.pool:
                self.pool[:, self.pooled] = image
                self.pooled += 1
                continue
            for k in range(2):
                if draws[k, 0] < 0.5:
                    place = int(draws[k, 1] * self.config.pool)
                    row[k] = self.pool[k, place]
                    self.pool[k, place] = image[k]
        return shown

    # --- abilities ----------------------------------------------------------------------------------------------------

    def generator_to(self, domain: int) -> nn.Module:
        return self.generators[domain]


def change_of_distances(x: Tensor, made: Tensor, real: Tensor) -> Tensor:
    """How far the distances between images ``made`` of ``x`` are from those between the images ``x``, each less the
    mean of those in its domain and divided by their deviation: a mean over pairs (DistanceGAN's loss).

    ``real`` are images of the other domain, which the images ``made`` are in.
    """
    if len(x) < 3:
        raise BadInput(
            "distances need 3 images or more in a batch or micro-batch; take a larger ‹train.batch_size› or "
            "‹train.micro_batch›, or ‹model.distance› 0"
        )
    before, after, there = (distances(each) for each in (x, made, real))
    scaled = [(found - of.mean()) / of.std().clamp(min=1e-6) for found, of in ((before, before), (after, there))]
    return (scaled[0] - scaled[1]).abs().mean()


def distances(x: Tensor) -> Tensor:
    """The mean absolute difference of pixels of every pair of images with shape (n, ...): shape (n (n - 1) / 2,)."""
    first, second = torch.triu_indices(len(x), len(x), 1, device=x.device)
    flat = x.flatten(1)
    return torch.cdist(flat, flat, p=1)[first, second] / flat.shape[1]
