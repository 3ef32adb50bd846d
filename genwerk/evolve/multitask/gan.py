"""The generators of EMT-GS: one for each ordered pair of tasks, of all runs trained together in one batched network.

A lane is one ordered pair of one run. Layers, losses and constants are those of the public implementations, which agree
on them: reference in :mod:`genwerk.evolve.multitask.emtgs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, logsigmoid

from genwerk.evolve.multitask.coordinator import Pool
from genwerk.evolve.multitask.donors import GAN, Transfer
from genwerk.evolve.multitask.problem import Array

SMOOTHING = 0.9
"""Weight of the real examples in the discriminator's loss: one-sided label smoothing."""
BETAS = 0.7, 0.9
"""Of Adam, whose moments start anew at each training."""
MOMENTUM = 0.1
"""Of the running statistics of batch normalisation."""


class GANTransfer(Transfer):
    """Generators of all ordered pairs of ``tasks``; lanes are ordered by pair, then by run."""

    def __init__(self, config: GAN, tasks: int, pop_size: int, dims: int, rngs: Sequence[np.random.Generator]) -> None:
        self.config, self.rngs = config, rngs
        self.pairs = [(task, source) for task in range(tasks) for source in range(tasks) if source != task]
        self.width = w = dims if config.reading == "individual" else pop_size
        self.generator = [*self._layer((w, w), 0.03), *self._layer((w, w), 0.06), *self._layer((w, w), 0.06)[:2]]
        self.discriminator = [*self._layer((w, w), 0.03), *self._layer((w, 1), 0.06)[:2]]
        lanes = len(self.pairs) * len(rngs)
        self.running = torch.stack([torch.zeros(2, lanes, 1, w), torch.ones(2, lanes, 1, w)])  # means, variances
        self.losses = np.zeros((2, len(rngs)))
        """Last mean losses (2, runs) of discriminators and generators."""
        self.images: dict[tuple[int, int], list[Array]] = {}
        """For each pair (target, source), images (runs, n, D) of the source's population, and of the target's."""

    def _numbers(self, draw: Callable[[np.random.Generator], Array]) -> Tensor:
        """What ``draw`` makes of each lane's generator of numbers, (lanes, ...)."""
        return torch.from_numpy(np.stack([draw(rng) for _ in self.pairs for rng in self.rngs]))

    def _layer(self, shape: tuple[int, int], std: float) -> list[Tensor]:
        """Weight and bias, and scale and shift of the batch normalisation that follows, of every lane."""
        weight = self._numbers(lambda rng: rng.normal(0, std, shape)).float()
        one = torch.ones(len(weight), 1, shape[1])
        return [each.requires_grad_() for each in (weight, 0 * one, one, 0 * one)]

    def _examples(self, pools: Sequence[Pool], side: int) -> Tensor:
        """Examples (lanes, n, width) of the targets (side 0) or of the sources (side 1) of all pairs."""
        u = np.concatenate([pools[pair[side]].u for pair in self.pairs])
        return torch.from_numpy(u if self.config.reading == "individual" else u.swapaxes(1, 2)).float()

    def learn(self, pools: Sequence[Pool], generation: int) -> None:
        targets, sources = self._examples(pools, 0), self._examples(pools, 1)
        if generation == 1 or generation % self.config.every == 0:
            self._train(targets, sources, self.config.first_epochs if generation == 1 else self.config.epochs)
        with torch.no_grad():
            images = [self._generate(each, training=False).double().numpy() for each in (sources, targets)]
        if self.config.reading == "transposed":
            images = [each.swapaxes(1, 2) for each in images]
        lanes = zip(*(np.split(each, len(self.pairs)) for each in images), strict=True)
        self.images = {pair: list(lane) for pair, lane in zip(self.pairs, lanes, strict=True)}

    def give(self, pools: Sequence[Pool], task: int, source: int, partner: Array) -> Array:
        if self.config.reading == "transposed":
            return self.images[source, task][0]
        reverse = np.stack([rng.random((partner.shape[1], 1)) < 0.5 for rng in self.rngs])
        return np.where(reverse, self.images[source, task][1], self.images[task, source][0])

    def _train(self, real: Tensor, noise: Tensor, epochs: int) -> None:
        n, size = real.shape[1], min(self.config.batch, real.shape[1])
        adam = Adam(
            (self.generator, self.config.generator_lr, BETAS), (self.discriminator, self.config.discriminator_lr, BETAS)
        )
        for _ in range(epochs):
            order = self._numbers(lambda rng: rng.permuted(np.tile(np.arange(n), (2, 1)), axis=1))[..., None]
            x, z = (each.take_along_dim(order[:, side], 1) for side, each in enumerate((real, noise)))
            masks = self._numbers(lambda rng: rng.random((2, n, self.width)) < 0.5)
            for first in range(0, n - size + 1, size):
                batch = slice(first, first + size)
                real_score = self._score(x[:, batch], masks[:, 0, batch])
                fake_score = self._score(self._generate(z[:, batch], training=True), masks[:, 1, batch])
                d_loss = -(SMOOTHING * logsigmoid(real_score) + logsigmoid(-fake_score)).mean((1, 2))
                g_loss = -logsigmoid(fake_score).mean((1, 2))
                g_grads = torch.autograd.grad(g_loss.sum(), self.generator, retain_graph=True)
                adam.update([*g_grads, *torch.autograd.grad(d_loss.sum(), self.discriminator)])
        losses = torch.stack([d_loss, g_loss]).detach().numpy()
        self.losses = losses.reshape(2, len(self.pairs), -1).mean(1)

    def _generate(self, z: Tensor, training: bool) -> Tensor:
        """Images (lanes, n, width), with batch statistics in training, and always where examples are variables."""
        for layer, (mean, variance) in enumerate(self.running.unbind(1)):
            weight, bias, scale, shift = self.generator[4 * layer : 4 * layer + 4]
            z = leaky_relu(torch.baddbmm(bias, z, weight), 0.5)
            if training or self.config.reading == "transposed":
                mean, variance = z.mean(1, keepdim=True), z.var(1, keepdim=True, unbiased=False)
            if training:
                self.running[:, layer].lerp_(torch.stack([mean, variance]).detach(), MOMENTUM)
            z = (z - mean) * torch.rsqrt(variance + 1e-5) * scale + shift
        weight, bias = self.generator[8:10]
        return torch.baddbmm(bias, z, weight).sigmoid()

    def _score(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (lanes, n, 1) of the discriminator; dropout by ``mask``, not rescaled."""
        weight, bias, scale, shift, out, out_bias = self.discriminator
        x = mask * leaky_relu(torch.baddbmm(bias, x, weight), 0.5)
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        x = (x - mean) * torch.rsqrt(variance + 1e-5) * scale + shift
        return torch.baddbmm(out_bias, x, out)


class Adam:
    """Adam (Kingma & Ba, 2015) of several groups (parameters, learning rate, betas), with moments that start at 0."""

    def __init__(self, *groups: tuple[Sequence[Tensor], float, tuple[float, float]]) -> None:
        self.state = [
            (each, rate, betas, torch.zeros_like(each), torch.zeros_like(each))
            for parameters, rate, betas in groups
            for each in parameters
        ]
        self.steps = 0

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor]) -> None:
        """Move every parameter, in the order of the groups."""
        self.steps += 1
        for (parameter, rate, (one, two), first, second), grad in zip(self.state, gradients, strict=True):
            first.lerp_(grad, 1 - one)
            second.mul_(two).addcmul_(grad, grad, value=1 - two)
            scale = (second / (1 - two**self.steps)).sqrt_().add_(1e-8)
            parameter.addcdiv_(first, scale, value=-rate / (1 - one**self.steps))
