"""Recipes for variational autoencoders."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.vae import VAEConfig
from genwerk.families.vae_text import TextVAEConfig
from genwerk.families.variational import IAFPosterior
from genwerk.nn.annealing import LinearAnnealing
from genwerk.nn.coder import ConvCoder, MLPCoder
from genwerk.nn.losses import BernoulliConfig, GaussianConfig, LogisticConfig
from genwerk.nn.mlp import Activation
from genwerk.nn.text_coder import LSTMCoder
from genwerk.recipes.autoencoder import MNIST, conv_widths
from genwerk.recipes.language_model import LETTERS, lstm_lm
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


def fitted(spec: DataSpec) -> VAEConfig:
    """Binarised pixels for grey images, stored levels for coloured ones, a Gaussian with its own sigmas for the rest.

    Fully connected up to 28 pixels of grey, convolutional for larger and for coloured images.
    """
    image = spec.modality.has_pixels
    grey = image and spec.shape[0] == 1
    conv = image and spec.side >= 16 and (not grey or max(spec.shape[1:]) > 28)
    return VAEConfig(
        network=ConvCoder(widths=conv_widths(spec)) if conv else MLPCoder(activation="silu"),
        latent=min(64 if conv else 20, max(2, spec.dims // 4)),
        likelihood=BernoulliConfig() if grey else LogisticConfig() if image else GaussianConfig(sigma="each"),
    )


@register()
def vae(spec: DataSpec) -> Recipe:
    """A VAE that fits its network and its likelihood to the data."""
    optim = OptimConfig(lr=1e-3, schedule="cosine", warmup=200)
    return Recipe(model=fitted(spec), train=TrainConfig(rounds=5_000, optim={"model": optim}))


@register()
def cvae(spec: DataSpec) -> Recipe:
    """A VAE conditioned on the label."""
    return replace(vae(spec), model=replace(fitted(spec), conditional=True))


@register()
def iwae(spec: DataSpec) -> Recipe:
    """A VAE trained on the importance-weighted bound of 5 samples an example (Burda et al., 2016)."""
    return replace(vae(spec), model=replace(fitted(spec), importance_samples=5))


@register()
def vae_iaf(spec: DataSpec) -> Recipe:
    """A VAE whose posterior is an inverse autoregressive flow, so that codes may be curved (Kingma et al., 2016)."""
    model = fitted(spec)
    activation: Activation = "silu" if isinstance(model.network, MLPCoder) else "relu"
    posterior = IAFPosterior(width=64 if spec.dims <= 128 else 320, activation=activation)
    return replace(vae(spec), model=replace(model, posterior=posterior))


@register()
def infovae(spec: DataSpec) -> Recipe:
    """MMD-VAE: the whole distribution of codes is held to the prior, not each code (Zhao et al., 2017).

    InfoVAE with alpha = 1, so that no KL divergence is left, and lambda = 1000.
    """
    return replace(vae(spec), model=replace(fitted(spec), beta=0.0, mmd=1000.0))


@register(LETTERS)
def vae_text(spec: DataSpec) -> Recipe:
    """A VAE of sentences: a code of the whole, from which an LSTM writes it token by token (Bowman et al., 2016)."""
    return Recipe(
        model=TextVAEConfig(
            network=LSTMCoder(dropout=0.2),
            latent=16,
            annealing=LinearAnnealing(),
            free_bits=0.5,
        ),
        train=replace(lstm_lm(spec).train, patience=0),
        evaluate=EvaluateConfig(samples=0),
    )


@register(MNIST, reference=True)
def vae_mnist(spec: DataSpec) -> Recipe:
    """The likelihood of dynamically binarised MNIST under a 784-400-400-40 VAE, for 2 CPU cores.

    Burda et al., 2016, table 1, one stochastic layer, 5000 importance samples: 86.76 nats (k = 1) and 84.78 (k = 50),
    in 3,280 epochs of batches of 20; these are the values to reach on a GPU with more rounds (for the second
    --model.importance-samples 50). Here at most 92 nats, with 500 of them, are to be reached within 15 minutes on 2
    cores:
    `genwerk train vae-mnist --data MNIST_FOLDER --out runs/vae-mnist`.
    """
    return replace(
        vae(spec),
        model=VAEConfig(network=MLPCoder(widths=(400, 400), activation="silu"), latent=40),
        train=TrainConfig(
            rounds=40_000,
            batch_size=128,
            optim={"model": OptimConfig(lr=3e-3, schedule="cosine", warmup=500)},
            log_every=500,
            sample_every=10_000,
            evaluate_every=10_000,
            save_every=10_000,
        ),
        evaluate=EvaluateConfig(importance_samples=500),
    )
