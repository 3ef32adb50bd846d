"""CLIP: its loss against slow definitions and a trusted library, its whole against transformers, and retrieval."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from itertools import permutations
from math import log
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import dropout, normalize

from genwerk.core.abilities import abilities
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.tokens import learn
from genwerk.data.dataset import Dataset
from genwerk.families.autoencoder import Autoencoder, AutoencoderConfig
from genwerk.families.clip import CLIP, CLIPConfig, contrast
from genwerk.metrics.recall import alike, chance, recall
from genwerk.nn.clip import ConvTowerConfig, ViTConfig
from genwerk.recipes import find
from genwerk.tasks import Unsupported
from genwerk.tasks.retrieval import embed_texts, retrieve, search, zero_shot
from genwerk.training.runtime import Runtime
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

TEXTS = ["a red ring", "a blue ring", "a red ring", "two green stars on a hill"]
SPEC = DataSpec(kind="image", shape=(3, 12, 12), captions=True, vocabulary=learn(TEXTS))
SMALL = CLIPConfig(tower=ConvTowerConfig(channels=(8, 8), width=16), text_width=16, text_layers=2, embedding=6)


def batch(seed: int = 0) -> Batch:
    x = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    return Batch(x, SPEC.vocabulary.encode(TEXTS))


@pytest.fixture
def model() -> CLIP:
    torch.manual_seed(0)
    return CLIP(SMALL, SPEC).eval()


def units(n: int, d: int, seed: int) -> Tensor:
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


# --- the loss ---------------------------------------------------------------------------------------------------------


def slow_contrast(images: Tensor, texts: Tensor, names: str, scale: float) -> Tensor:
    """InfoNCE by its definition, a sum at a time, where equal names share the target in equal parts."""
    n, terms = len(names), []
    for a, b in ((images, texts), (texts, images)):
        for i in range(n):
            weights = [torch.exp(scale * a[i] @ b[j]) for j in range(n)]
            equal = [j for j in range(n) if names[j] == names[i]]
            terms.append(-sum(torch.log(weights[j] / sum(weights)) for j in equal) / len(equal))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("names", ["abcdef", "abacad", "aaabbb"])
def test_loss_is_symmetric_infonce_whether_equal_texts_share_the_target_or_not(names: str) -> None:
    images, named = units(6, 5, 0).requires_grad_(), units(6, 5, 1).requires_grad_()
    texts = named[["abcdef".index(name) for name in names]]
    same = torch.tensor([[a == b for a in names] for b in names])
    loss, _ = contrast(images, texts, same, torch.tensor(7.0, dtype=torch.float64))
    expected = slow_contrast(images, texts, names, 7.0)
    torch.testing.assert_close(loss, expected)
    ours, theirs = (torch.autograd.grad(v, (images, named), retain_graph=True) for v in (loss, expected))
    torch.testing.assert_close(ours, theirs)


def test_loss_without_equal_texts_is_that_of_transformers() -> None:
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    theirs = pytest.importorskip("transformers.models.clip.modeling_clip")
    images, texts = units(9, 5, 0), units(9, 5, 1)
    loss, _ = contrast(images, texts, torch.eye(9, dtype=torch.bool), torch.tensor(20.0, dtype=torch.float64))
    torch.testing.assert_close(loss, theirs.image_text_contrastive_loss(20 * texts @ images.T))


def test_loss_is_chance_where_nothing_is_known_and_the_floor_where_all_is() -> None:
    same = torch.tensor([[a == b for a in "aabcc"] for b in "aabcc"])
    nothing = torch.ones(5, 4, dtype=torch.float64) / 2
    loss, metrics = contrast(nothing, nothing, same, torch.tensor(30.0, dtype=torch.float64))
    assert loss.item() == pytest.approx(log(5), rel=1e-12)
    assert metrics["chance"].item() == pytest.approx(log(5), rel=1e-12)
    everything = torch.eye(3, dtype=torch.float64)[[0, 0, 1, 2, 2]]
    loss, metrics = contrast(everything, everything, same, torch.tensor(100.0, dtype=torch.float64))
    assert loss.item() == pytest.approx(4 / 5 * log(2), rel=1e-12)
    assert metrics["floor"].item() == pytest.approx(4 / 5 * log(2), rel=1e-12)
    assert metrics["text found"] == 1


def test_the_model_descends_that_loss(model: CLIP) -> None:
    given = batch()
    loss, metrics = model.loss(given)
    expected = slow_contrast(model.embed(given.x), model.embed_text(given.condition), "abac", 1 / 0.07)
    torch.testing.assert_close(loss, expected)
    assert metrics["scale"].item() == pytest.approx(1 / 0.07, rel=1e-5)


def coupled(family: type[CLIP] = CLIP, micro: int | None = None, runtime: Runtime | None = None) -> Trainer:
    """A round of eight examples in float64, after which the gradient stands with the parameters."""
    x = torch.rand(8, 3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    data = Dataset(x=x, spec=replace(SPEC, vocabulary=None), captions=TEXTS * 2).read(SPEC.vocabulary)
    settings = TrainConfig(rounds=1, batch_size=8, micro_batch=micro, optim={"model": OptimConfig(name="sgd")})
    torch.manual_seed(0)
    return Trainer(family(SMALL, SPEC).double(), data, settings, runtime=runtime)


@pytest.mark.parametrize("micro", [1, 3])
def test_gradients_are_those_of_the_whole_batch_however_it_is_cut(micro: int) -> None:
    def gradients(trainer: Trainer) -> dict[str, Tensor]:
        return {name: p.grad for name, p in trainer.fit().named_parameters()}

    torch.testing.assert_close(gradients(coupled(micro=micro)), gradients(coupled()), rtol=1e-10, atol=1e-14)
    seen: list[Tensor] = []

    class Blurred(CLIP):
        def features(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
            images, *texts = super().features(replace(batch, x=dropout(batch.x, 0.5)))
            seen.append(images)
            return images, *texts

    coupled(Blurred, micro).fit()
    first, again = torch.cat(seen).chunk(2)
    assert torch.equal(first, again)


@pytest.mark.parametrize("begin,end", [(9.0, log(100)), (-3.0, 0.0), (2.0, 2.0)])
def test_the_scale_is_clamped_after_the_step(model: CLIP, begin: float, end: float) -> None:
    with torch.no_grad():
        model.logit_scale.fill_(begin)
    turns = model.turns(SimpleNamespace(next_batch=batch), {})  # type: ignore[arg-type]
    next(turns)
    assert model.logit_scale.item() == begin
    with pytest.raises(StopIteration):
        next(turns)
    assert model.logit_scale.item() == pytest.approx(end)


# --- the model --------------------------------------------------------------------------------------------------------


def test_the_whole_equals_transformers() -> None:
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    theirs = pytest.importorskip("transformers.models.clip")
    config = CLIPConfig(
        tower=ViTConfig(patch=4, width=24, layers=3, heads=4), gelu="quick_gelu",
        text_width=16, text_layers=2, text_heads=2, embedding=10,
    )  # fmt: skip
    vocabulary = SPEC.vocabulary
    reference = theirs.CLIPModel(
        theirs.CLIPConfig(
            text_config={
                "vocab_size": vocabulary.size,
                "hidden_size": 16,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "eos_token_id": vocabulary.end,
            },
            vision_config={
                "hidden_size": 24,
                "intermediate_size": 96,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "image_size": 12,
                "patch_size": 4,
            },
            projection_dim=10,
        )
    ).eval()
    ours = CLIP(config, SPEC).eval()
    found = ours.load_state_dict(reference.state_dict(), strict=False)
    assert (found.unexpected_keys, sorted(found.missing_keys)) == ([], ["deviation", "mean"])
    ours.mean.zero_()
    ours.deviation.fill_(1)
    given = batch()
    with torch.no_grad():
        expected = reference(input_ids=given.condition, pixel_values=given.x)
        assert (ours.embed(given.x) - expected.image_embeds).abs().max() < 1e-5
        assert (ours.embed_text(given.condition) - expected.text_embeds).abs().max() < 1e-5
        logits = ours.logit_scale.exp() * ours.embed(given.x) @ ours.embed_text(given.condition).T
        assert (logits - expected.logits_per_image).abs().max() < 1e-4


def test_embeddings_are_unit_vectors_that_do_not_depend_on_the_batch(model: CLIP) -> None:
    assert abilities(model) == {"aligns-text", "diagnoses"}
    given = batch()
    for embedded, alone in (
        (model.embed(given.x), model.embed(given.x[1:2])),
        (model.embed_text(given.condition), model.embed_text(given.condition[1:2])),
    ):
        assert embedded.shape == (4, 6)
        torch.testing.assert_close(embedded.norm(dim=1), torch.ones(4))
        torch.testing.assert_close(embedded[1:2], alone, rtol=1e-5, atol=1e-6)


def test_what_fills_a_text_up_does_not_matter(model: CLIP) -> None:
    zeros = replace(SPEC.vocabulary, pad="zero").encode(TEXTS)
    torch.testing.assert_close(model.embed_text(zeros), model.embed_text(batch().condition))


def test_pixels_are_standardised_by_the_channels_of_the_training_data() -> None:
    x = torch.randint(0, 256, (50, 3, 12, 12)) // torch.tensor([1, 2, 4]).view(3, 1, 1)
    data = Dataset(x=x.byte(), spec=replace(SPEC, vocabulary=None), captions=["a ring", "a star"] * 25)
    data = data.read(SPEC.vocabulary)
    model = Trainer(CLIP(SMALL, SPEC), data, TrainConfig(rounds=1, batch_size=8, optim={"model": OptimConfig()})).fit()
    seen = (x / 255 - model.mean) / model.deviation
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "side,tower,detail", [(8, "conv", 1), (32, "conv", 3), (64, "conv", 4), (96, "vit", 16), (225, "vit", 15)]
)
def test_recipe_fits_its_towers_to_the_images(side: int, tower: str, detail: int) -> None:
    spec = replace(SPEC, shape=(3, side, side))
    config = find("clip").make(spec).model
    assert config.tower.kind == tower
    assert (len(config.tower.channels) if tower == "conv" else config.tower.patch) == detail
    with torch.device("meta"):
        assert CLIP(config, spec).embed(torch.empty(2, 3, side, side)).shape == (2, config.embedding)


def test_data_and_settings_that_cannot_work_are_refused_in_a_sentence() -> None:
    for spec in (DataSpec(kind="image", shape=(3, 32, 32)), DataSpec(kind="table", shape=(4,))):
        with pytest.raises(ValueError, match=rf"images with captions.*{spec.kind}.*metadata\.csv"):
            CLIP(find("clip").make(spec).model, spec)
    with pytest.raises(ValueError, match=r"square images, not 70x90.*data\.size"):
        CLIP(replace(SMALL, tower=ViTConfig()), replace(SPEC, shape=(3, 70, 90)))
    with pytest.raises(ValueError, match=r"temperature is 0\.001"):
        CLIPConfig(temperature=0.001)
    with pytest.raises(ValueError, match="2 dimensions or more"):
        CLIPConfig(embedding=1)


# --- retrieval --------------------------------------------------------------------------------------------------------


def test_equal_texts_are_found() -> None:
    text = SPEC.vocabulary.encode(TEXTS)
    assert alike(text).tolist() == [[a == b for a in TEXTS] for b in TEXTS]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_recall_by_counting(k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    likeness, right = torch.rand(30, 7, generator=generator), torch.rand(30, 7, generator=generator) < 0.2
    hits = 0
    for row, good in zip(likeness.tolist(), right.tolist(), strict=True):
        best = sorted(range(7), key=lambda j: -row[j])[:k]
        hits += any(good[j] for j in best)
    assert recall(likeness, right, k).item() == pytest.approx(hits / 30)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_chance_is_the_mean_over_all_orders(k: int) -> None:
    right = torch.tensor([[1, 0, 0, 0, 0], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
    orders = list(permutations(range(5)))
    expected = sum(any(good[j] for j in order[:k]) for good in right.tolist() for order in orders) / (3 * len(orders))
    assert chance(right, k).item() == pytest.approx(expected, rel=1e-6)


def test_classes_are_the_nearest_prompts(model: CLIP) -> None:
    x, prompts = batch().x, ["a red ring", "a blue ring", "stars"]
    embedded = torch.cat([model.embed_text(SPEC.vocabulary.encode([p])) for p in prompts])
    expected = [max(range(3), key=lambda j: (e @ embedded[j]).item()) for e in model.embed(x)]
    assert zero_shot(model, x, prompts).tolist() == expected
    assert zero_shot(model, x, [[p, p] for p in prompts]).tolist() == expected
    middle = normalize(embedded[0] + embedded[1], dim=0)
    two = [int(e @ embedded[2] > e @ middle) for e in model.embed(x)]
    assert zero_shot(model, x, [prompts[:2], prompts[2]]).tolist() == two


def test_search_and_retrieval_put_the_nearest_first(model: CLIP) -> None:
    given = batch()
    cosines = model.embed(given.x) @ model.embed_text(given.condition).T
    assert search(model, given.x, TEXTS[1], 3)[0].tolist() == cosines[:, 1].argsort(descending=True)[:3].tolist()
    found = retrieve(model, given)
    nearest = [TEXTS[j] for j in cosines.argmax(1)]
    assert found.texts == sum(a == b for a, b in zip(nearest, TEXTS, strict=True)) / 4
    assert found.chance == pytest.approx((2 / 4 + 1 / 4 + 2 / 4 + 1 / 4) / 4)
    diagnosed = model.diagnose(given.x, given.condition)
    assert {k: v.item() for k, v in diagnosed.items()} == pytest.approx(
        {"text found": found.texts, "image found": found.examples, "found by chance": found.chance}
    )
    assert retrieve(model, given, 4).examples == 1


def test_verbs_refuse_in_a_sentence(model: CLIP) -> None:
    with pytest.raises(ValueError, match="75"):
        embed_texts(model, ["ring " * 100])
    with pytest.raises(ValueError, match="give one or more"):
        embed_texts(model, [])
    with pytest.raises(ValueError, match="conditioned on a text"):
        retrieve(model, Batch(batch().x))
    with pytest.raises(ValueError, match="take 1 to 4"):
        retrieve(model, batch(), 5)
    with pytest.raises(
        Unsupported, match="a common space of examples and texts, which Autoencoder lacks; recipes with it: clip"
    ):
        embed_texts(Autoencoder(AutoencoderConfig(), SPEC), ["a ring"])
