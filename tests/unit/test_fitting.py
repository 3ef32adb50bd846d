"""Which recipes fit which data, which is the conditional one of two, and which to begin with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from genwerk.comparison.advice import hints, suggestions
from genwerk.core.errors import BadInput
from genwerk.core.model import Metrics, Stage, Turn, build
from genwerk.core.spec import DataSpec
from genwerk.core.tokens import CLIPVocabulary
from genwerk.data import DataConfig, open_data
from genwerk.data.stream import Stream
from genwerk.recipes import REGISTRY
from genwerk.tasks import fitting
from genwerk.training import speed
from genwerk.training.runtime import Runtime

TABLE = DataSpec(kind="table", shape=(3,))
DIGITS = DataSpec(kind="image", shape=(1, 8, 8), levels=17)
PHOTOS = DataSpec(kind="image", shape=(3, 32, 32))
TWO = ("cat", "dog")


@pytest.fixture(scope="module")
def offered() -> dict[str, fitting.Offer]:
    return {offer.entry.name: offer for offer in fitting.offers()}


@pytest.mark.parametrize(
    "name, kinds, does, by",
    [
        ("vae", ("audio", "image", "table"), ("sample", "score by a bound", "encode"), ()),
        ("cvae", ("audio", "image", "table"), ("sample", "score by a bound", "encode"), ("label",)),
        ("cmaf", ("audio", "image", "table"), ("sample", "score exactly", "encode"), ("covariates", "label")),
        ("wavenet", ("audio",), ("sample", "score exactly", "complete"), ()),
        ("gan", ("image", "table"), ("sample",), ()),
        ("autoencoder", ("audio", "image", "table"), ("encode",), ()),
        ("latent-diffusion", ("image",), ("sample", "encode", "complete"), ("label", "prompt")),
        ("superres", ("image",), ("translate",), ()),
        ("clip", ("image",), ("match texts",), ("prompt",)),
    ],
)
def test_what_a_recipe_takes_and_does_is_asked_of_its_model(
    offered: dict[str, fitting.Offer], name: str, kinds: tuple[str, ...], does: tuple[str, ...], by: tuple[str, ...]
) -> None:
    offer = offered[name]
    assert (offer.kinds, offer.does, tuple(sorted(offer.by))) == (kinds, does, by)


def test_every_recipe_but_references_takes_some_kind_of_data(offered: dict[str, fitting.Offer]) -> None:
    assert offered.keys() == {name for name, entry in REGISTRY.items() if not entry.reference}
    assert REGISTRY["vae-mnist"].reference
    assert not REGISTRY["autoencoder-codes"].reference


def test_a_word_is_found_in_names_families_and_abilities(offered: dict[str, fitting.Offer]) -> None:
    assert fitting.mentions(offered["cgan"], "Label")
    assert fitting.mentions(offered["spline-maf"], "MAF")
    assert fitting.mentions(offered["mixture"], "complete")
    assert not fitting.mentions(offered["gan"], "complete")


def test_a_kind_of_data_that_nobody_has_is_refused() -> None:
    with pytest.raises(BadInput, match="expected audio, image, table"):
        fitting.offers("latent")


@pytest.mark.parametrize(
    "name, spec, other",
    [
        ("vae", replace(DIGITS, classes=TWO), "cvae"),
        ("iwae", replace(DIGITS, classes=TWO), "cvae"),
        ("gan", replace(DIGITS, classes=TWO), "cgan"),
        ("gated-pixelcnn", replace(DIGITS, classes=TWO), "cpixelcnn"),
        ("mixture", replace(TABLE, classes=TWO), "cmixture"),
        ("maf", replace(TABLE, covariates=("age",)), "cmaf"),
        ("spline-maf", replace(TABLE, covariates=("age",)), "cspline-maf"),
        ("vae", DIGITS, None),
        ("cvae", replace(DIGITS, classes=TWO), None),
        ("autoencoder", replace(DIGITS, classes=TWO), None),
        ("vae", replace(TABLE, covariates=("age",)), None),
    ],
)
def test_the_conditional_sibling_is_of_the_same_family(name: str, spec: DataSpec, other: str | None) -> None:
    found = fitting.sibling(fitting.fit(REGISTRY[name], spec))
    assert (found.entry.name if found else None) == other


def test_a_hint_names_what_the_data_carry_and_follows_the_settings() -> None:
    spec, entry = replace(DIGITS, classes=TWO), REGISTRY["vae"]
    plain = entry.make(spec)
    assert hints(entry, plain, spec) == ["these data carry labels, which vae does not use; cvae is conditioned on them"]
    told: Any = replace(plain.model, conditional=True)  # type: ignore[call-arg]
    assert hints(entry, replace(plain, model=told), spec) == []


@pytest.mark.parametrize(
    "spec, first",
    [
        (TABLE, "vae"),
        (PHOTOS, "ddpm"),
        (replace(PHOTOS, classes=TWO), "cddpm"),
        (replace(PHOTOS, captions=True, vocabulary=CLIPVocabulary()), "latent-diffusion"),
        (replace(DIGITS, palette=((0, 0, 0), (255, 0, 0)), shape=(3, 8, 8), levels=256), "pixelcnn"),
        (DataSpec(kind="audio", shape=(1, 400), sample_rate=8000), "wavenet"),
    ],
)
def test_what_to_begin_with_where_nothing_was_measured(spec: DataSpec, first: str) -> None:
    assert suggestions(spec, 500, precedents=[])[0].fit.entry.name == first


def test_of_rounds_that_take_long_small_ones_are_played_and_a_line_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    data, played = open_data(DataConfig(source="digits", limit=300)).train, list[int]()

    def timed(self: speed.Rehearsal, stage: Stage, stream: Stream, budget: float) -> float:
        played.append(stream.batch_size)
        return 0.2 + 0.1 * stream.batch_size

    monkeypatch.setattr(speed.Rehearsal, "_time", timed)
    recipe, here = REGISTRY["vae"].make(data.spec), Runtime(torch.device("cpu"))
    for longest, most in ((0.05, 8), (3.1, 20), (1e9, 128)):
        played.clear()
        (found,) = speed.measure(recipe, data, here, longest=longest)
        assert found.seconds == pytest.approx(0.2 + 0.1 * 128)
        assert max(played) == most


def test_rounds_in_which_an_algorithm_does_more_now_and_then_are_not_taken_for_all() -> None:
    data, played = open_data(DataConfig(source="crescents", limit=300)).train, list[int]()
    recipe = REGISTRY["wgan"].make(data.spec)

    class Counting(speed.Rehearsal):
        def _take(self, turn: Turn, stage: Stage) -> Metrics:
            played[-1] += 1
            return super()._take(turn, stage)

        def _time(self, stage: Stage, stream: Stream, budget: float) -> float:
            played.append(0)
            self._round(stage, stream)
            return 1.0

    Counting(build(recipe.model, data.spec), data, recipe.train).seconds_a_round(0, 0.0)
    assert played == [5 + 1, 5 + 1]
