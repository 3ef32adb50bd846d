"""Recipes for latent diffusion: pictures from words, or from labels, or of their own accord."""

from __future__ import annotations

from dataclasses import replace
from math import gcd

from genwerk.core.spec import DataSpec
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import ScaledLinear
from genwerk.families.autoencoder_kl import AutoencoderKLConfig
from genwerk.families.ddpm import DDPMConfig
from genwerk.families.latent_diffusion import LatentDiffusionConfig
from genwerk.nn.diffusion import UNetConfig
from genwerk.recipes import autoencoder_kl as first
from genwerk.recipes import clip as second
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

MOST = 8
"""Groups of channels that are normalised together, at most."""


def fitted(spec: DataSpec) -> LatentDiffusionConfig:
    """The first stage of the recipe autoencoder-kl, CLIP where there are captions, and a U-Net that attends throughout.

    Without captions the U-Net is conditioned on the label, where there are labels.
    """
    autoencoder, captions = first.fitted(spec), spec.vocabulary is not None
    clip = second.fitted(spec) if captions else None
    side = spec.side // 2 ** (len(autoencoder.widths) - 1)
    widths: tuple[int, ...] = (32, 64) if side < 8 else (64, 128) if side < 16 else (64, 128, 192)
    widths = widths[: 1 if side < 4 else None]
    network = UNetConfig(
        widths=widths,
        blocks=1,
        attention=tuple(captions or level > 0 for level in range(len(widths))),
        heads=(4,),
        groups=gcd(MOST, *widths),
    )
    prior = DDPMConfig(
        conditional=not captions and bool(spec.classes),
        context=clip.text_width if clip else 0,
        network=network,
        schedule=ScaledLinear(),
        prediction="v",
        sampling=Diffusion(guidance=3.0 if captions else 1.0),
    )
    return LatentDiffusionConfig(autoencoder=autoencoder, text=clip, prior=prior)


@register()
def latent_diffusion(spec: DataSpec) -> Recipe:
    """Latent diffusion: an autoencoder, CLIP where there are captions, and a diffusion model of the codes (2022)."""
    config, autoencoder = fitted(spec), first.autoencoder_kl(spec)
    optim = {"autoencoder": autoencoder.train.optim["model"]}
    optim["autoencoder.discriminator"] = autoencoder.train.optim["discriminator"]
    if config.text is not None:
        optim["text"] = second.clip(spec).train.optim["model"]
    optim["prior"] = OptimConfig(name="adamw", lr=1e-3, schedule="cosine", warmup=200, clip_norm=1.0)
    train = replace(autoencoder.train, optim=optim, ema={"prior": 20_000.0})
    model = replace(config, text_rounds=2_000, text_batch=128, prior_rounds=10_000, prior_batch=64)
    return Recipe(model=model, train=train, evaluate=EvaluateConfig(samples=2_000))


@register(replace(second.SCENES, shape=(3, 16, 16)), reference=True)
def latent_scenes(spec: DataSpec) -> Recipe:
    """Pictures from words, all three stages on the built-in scenes, an hour on 2 CPU cores.

    To reach: the asked shape, colour and position are found by a classifier in 80 % of the pictures of combinations
    that were seen, and in 60 % of those of the 48 that were held out. Measured (seed 0, one thread, 56 core-minutes):
    all of 480 and all of 96 pictures (benchmarks/latent_scenes.py).
    `genwerk train latent-scenes --data scenes --out runs/latent-scenes`, then
    `genwerk sample runs/latent-scenes --prompt "a small red ring on the left side" -n 16`.
    """
    base = latent_diffusion(spec)
    assert isinstance(base.model, LatentDiffusionConfig)
    stage = first.autoencoder_kl_scenes(spec)
    reader = second.clip_scenes(spec)
    train: TrainConfig = replace(
        base.train,
        rounds=stage.train.rounds,
        batch_size=stage.train.batch_size,
        optim={
            "autoencoder": stage.train.optim["model"],
            "text": reader.train.optim["model"],
            "prior": base.train.optim["prior"],
        },
        log_every=100,
        sample_every=1_000,
        evaluate_every=0,
        save_every=500,
    )
    config = replace(
        base.model,
        autoencoder=stage.model,
        text_rounds=reader.train.rounds,
        text_batch=reader.train.batch_size,
        prior_rounds=4_000,
    )
    return replace(base, model=config, train=train)


@register(replace(second.SCENES, shape=(3, 32, 32)), reference=True)  # smaller ones leave one place to attend to
def latent_faces(spec: DataSpec) -> Recipe:
    """Drawn faces of 64 pixels with captions of hair and eyes, all stages, 107 minutes of one CPU core.

    Measured (9,472 faces, seed 0): by a classifier of hair that is right for 94 % of held-out real faces, 97.5 % of 480
    pictures have the hair asked for at guidance 3, and 77 % unguided (benchmarks/latent_faces.py). The denoiser works
    on squares of 2x2 places of codes of 16x16.
    `genwerk train latent-faces --data FACES.zip --out runs/latent-faces`, then
    `genwerk sample runs/latent-faces --prompt "blue hair red eyes" -n 16`.
    """
    base, config = latent_diffusion(spec), fitted(spec)
    assert isinstance(config.autoencoder, AutoencoderKLConfig)
    assert isinstance(config.prior, DDPMConfig)
    assert isinstance(config.prior.network, UNetConfig)
    network = replace(config.prior.network, patch=2, widths=(128, 192), attention=(True, True))
    model = replace(
        config,
        autoencoder=replace(config.autoencoder, widths=(16, 32, 64), error="squared", adversarial=0.0),
        prior=replace(config.prior, network=network),
        text_rounds=800,
        text_batch=128,
        prior_rounds=4_000,
        prior_batch=48,
    )
    optim = {part: settings for part, settings in base.train.optim.items() if part in ("text", "prior")}
    optim["autoencoder"] = OptimConfig(lr=5e-4, schedule="cosine", warmup=100, final=0.05)
    train = replace(
        base.train,
        rounds=6_000,
        batch_size=8,
        optim=optim,
        log_every=100,
        sample_every=1_000,
        evaluate_every=0,
        save_every=500,
    )
    return replace(base, model=model, train=train)
