from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import Tensor
from torch.nn import functional as F

from genwerk import tasks
from genwerk.core.abilities import last
from genwerk.core.model import build
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.spec import Batch
from genwerk.data import DataConfig, Splits, open_data
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import Cosine
from genwerk.families.autoencoder_kl import AutoencoderKLConfig
from genwerk.families.clip import CLIPConfig
from genwerk.families.ddpm import DDPMConfig
from genwerk.families.diffusion import Context
from genwerk.families.latent_diffusion import LatentDiffusion, LatentDiffusionConfig, LatentDiffusionOptions
from genwerk.families.text_encoder import TextEncoderConfig
from genwerk.nn.clip import ConvTowerConfig
from genwerk.nn.diffusion import UNetConfig
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

PRIOR = DDPMConfig(
    network=UNetConfig(widths=(16, 32), attention=(False, True), blocks=1, heads=(2,)),
    context=16,
    prediction="v",
    schedule=Cosine(),
)
SMALL = LatentDiffusionConfig(
    autoencoder=AutoencoderKLConfig(widths=(8, 16), adversarial=0.0),
    text=CLIPConfig(
        tower=ConvTowerConfig(channels=(8, 16), width=16), text_width=16, text_layers=1, text_heads=2, embedding=8
    ),
    prior=PRIOR,
    text_rounds=2,
    prior_rounds=3,
)
FEW = Diffusion(steps=4, guidance=2.0)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return open_data(DataConfig(source="scenes", size=16, limit=80))


@pytest.fixture(scope="module")
def trained(splits: Splits) -> LatentDiffusion:
    torch.manual_seed(0)
    model = build(SMALL, splits.spec)
    optim = {name: OptimConfig() for name in ("autoencoder", "text", "prior")}
    Trainer(model, splits.train, TrainConfig(rounds=4, batch_size=16, optim=optim)).fit()
    assert isinstance(model, LatentDiffusion)
    return model


def words(model: LatentDiffusion, *texts: str) -> Tensor:
    assert model.spec.vocabulary is not None
    return model.spec.vocabulary.encode(texts)


def test_parts_are_trained_one_after_the_other(splits: Splits) -> None:
    torch.manual_seed(0)
    model = build(SMALL, splits.spec)
    optim = {name: OptimConfig() for name in ("autoencoder", "text", "prior")}
    trainer = Trainer(model, splits.train, TrainConfig(rounds=2, batch_size=16, optim=optim))
    assert [stage.name.split()[0] for stage in trainer.stages] == ["autoencoder", "text", "prior"]
    assert [stage.rounds for stage in trainer.stages] == [2, 2, 3]
    moved: dict[str, set[str]] = {}
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for event in trainer:
        now = {k: v.clone() for k, v in model.state_dict().items()}
        changed = {k.split(".")[0] for k in now if not torch.equal(now[k], before[k])}
        moved.setdefault(event.stage.split()[0], set()).update(changed)
        before = now
    assert moved["autoencoder"] == {"autoencoder"}
    assert moved["text"] == {"text"}
    assert moved["prior"] == {"prior", "preview"}


def test_the_scale_of_codes_is_measured(trained: LatentDiffusion, splits: Splits) -> None:
    with torch.no_grad():
        std = trained.encode(splits.train.batch().x).std()
    torch.testing.assert_close(trained.prior.centred.scale, 1 / std, rtol=1e-3, atol=1e-4)


def test_a_preview_is_the_best_linear_map_of_a_code(trained: LatentDiffusion, splits: Splits) -> None:
    x = splits.train.batch().x
    with torch.no_grad():
        z = trained.encode(x)
        small = F.interpolate(trained.previewed(z), scale_factor=0.5, mode="nearest")
    rows, wanted = (a.movedim(1, 3).flatten(0, 2).numpy() for a in (z, F.avg_pool2d(x, 2)))
    expected = LinearRegression().fit(rows, wanted).predict(rows)
    torch.testing.assert_close(
        small.movedim(1, 3).flatten(0, 2), torch.from_numpy(expected).float().clamp(0, 1), rtol=1e-3, atol=1e-3
    )


def test_captions_are_left_out_as_often_as_set(trained: LatentDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    text, empty = words(trained, "a red ring"), words(trained, "")
    monkeypatch.setattr(trained.prior, "config", replace(trained.prior.config, condition_dropout=0.2))
    plain = Context(1, trained.condition, lambda tokens: tokens.float().unsqueeze(2))
    monkeypatch.setattr(trained.prior, "condition", plain)

    class Stream(SeededNoise):
        batch_size = 4000

        def next_batch(self) -> Batch:
            return Batch(torch.zeros(4000, 1), text.expand(4000, -1))

    learned = next(trained.prior.turns(Stream(4000, 0), {})).rows[0].condition
    left_out = (learned[..., 0] == empty).all(1)
    assert left_out.float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert (learned[~left_out][..., 0] == text).all()


def test_codes_need_no_text(trained: LatentDiffusion, splits: Splits) -> None:
    x = splits.test.batch(slice(3)).x
    z = tasks.encode(trained, x)
    torch.testing.assert_close(z, trained.encode(x).detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tasks.reconstruct(trained, x), tasks.decode(trained, z), rtol=1e-4, atol=1e-5)
    assert tasks.interpolate(trained, x[:1], x[1:2], steps=3).shape == (1, 3, *x.shape[1:])


def test_a_picture_is_its_decoded_code_and_guidance_leads_from_the_empty_text(trained: LatentDiffusion) -> None:
    text = words(trained, "a small red ring", "a large blue star")
    frames = list(trained.trace(2, text, FEW, seed=3))
    z = last(trained.latents(2, text, FEW, seed=3))
    assert len(frames) == 4
    torch.testing.assert_close(frames[-1], trained.decode(z))
    rough = list(trained.trace(2, text, LatentDiffusionOptions(**vars(FEW), preview=True), seed=3))
    assert torch.equal(rough[-1], frames[-1])
    assert not torch.allclose(rough[0], frames[0])
    context, empty = trained.context(text), trained.context(words(trained, "")).expand(2, -1, -1)
    noise = SeededNoise(2, 3)
    with torch.no_grad():
        by_hand = last(trained.prior.walk(noise.normal(*trained.latent_shape), noise, context, FEW, empty))
    assert torch.equal(z, by_hand)
    away = last(trained.latents(2, text, replace(FEW, negative="a star"), seed=3))
    assert not torch.equal(away, z)
    alone = last(trained.latents(1, text[1:], FEW, seed=Seeds(3, 1)))
    torch.testing.assert_close(alone[0], z[1], rtol=1e-4, atol=1e-5)
    wide = trained.sample(1, text[:1], replace(FEW, size="24x16"), seed=3)
    assert wide.shape == (1, 3, 16, 24)


def test_the_way_between_texts_begins_and_ends_with_their_pictures(trained: LatentDiffusion) -> None:
    a, b = words(trained, "a small red ring"), words(trained, "a large blue star")
    way = trained.interpolate_prompts(a, b, 3, seed=7)
    for picture, text in ((way[0], a), (way[2], b)):
        torch.testing.assert_close(picture, trained.sample(1, text, seed=7)[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(way[1], way[0])
    assert not torch.allclose(way[1], way[2])


def test_an_edit_of_nothing_is_the_autoencoders_picture(trained: LatentDiffusion, splits: Splits) -> None:
    batch = splits.test.under(trained.condition).batch(slice(2))
    same = trained.sdedit(batch.x, 0.0, batch.condition, FEW, seed=5)
    with torch.no_grad():
        drawn = trained.autoencoder.sample_posterior(batch.x, SeededNoise(2, 5))  # type: ignore[union-attr, operator]
        assert torch.equal(same, trained.decode(drawn))


def test_a_place_of_the_code_is_known_where_all_its_pixels_are(
    trained: LatentDiffusion, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, seen = splits.test.under(trained.condition).batch(slice(2)), list[Tensor]()
    fill = trained.prior.fill

    def spied(x: Tensor, known: Tensor, *more: object) -> Tensor:
        seen.append(known)
        return fill(x, known, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(trained.prior, "fill", spied)
    known = torch.ones(1, 3, 16, 16, dtype=torch.bool)
    known[..., 5, 6] = False
    found = trained.complete(batch.x, known, 2, batch.condition, FEW, seed=1)
    assert torch.equal(found.x[:, 1][known.expand_as(batch.x)], batch.x[known.expand_as(batch.x)])
    unknown = (~seen[0][0, 0]).nonzero().tolist()
    assert unknown == [[2, 3]]


def test_what_does_not_fit_together_is_said(splits: Splits) -> None:
    with pytest.raises(ValueError, match=r"tells 16 numbers a token.*model.prior.context 16"):
        build(replace(SMALL, prior=replace(PRIOR, context=8)), splits.spec)
    with pytest.raises(ValueError, match="reads captions"):
        build(replace(SMALL, text=TextEncoderConfig(width=16, heads=2)), replace(splits.spec, vocabulary=None))
    model = build(SMALL, splits.spec)
    assert isinstance(model, LatentDiffusion)
    with pytest.raises(ValueError, match="conditioned on a text"):
        model.sample(1)
    with pytest.raises(ValueError, match="take multiples of 2"):
        model.sample(1, words(model, "a"), replace(FEW, size="16x15"))
