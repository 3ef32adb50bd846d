"""Which family to choose: a rule on made-up comparisons whose answers are known, and the table that ships."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from compared import comparison, figure, measured

from genwerk.comparison import precedents
from genwerk.comparison.advice import RULES, WANTED, advise, suggestions
from genwerk.comparison.precedents import Precedent, nearest, precedent
from genwerk.comparison.result import Failed
from genwerk.core.errors import BadInput, BadSetting
from genwerk.core.spec import DataSpec
from genwerk.core.vocabularies import Characters
from genwerk.recipes import REGISTRY

TABLE = DataSpec(kind="table", shape=(3,))
DIGITS = DataSpec(kind="image", shape=(1, 8, 8), levels=17)
TWO = ("cat", "dog")
DISTANCES = {"gan": (3.0, 3.1, 3.2), "vae": (9.0, 9.1, 9.2), "pixelcnn": (3.1, 3.3, 3.2), "glow": (20.0, 20.1, 20.2)}


def known(
    spec: DataSpec, values: dict[str, Sequence[float]], name: str = "Fréchet distance", n: int = 1_000, **latents: int
) -> Precedent:
    """What a comparison of one figure tells: to each recipe its values, one a seed."""
    runs = [measured(r, seed, figure(name, v, 0.01)) for r, every in values.items() for seed, v in enumerate(every)]
    found = comparison(*runs, kind=spec.kind, data=str(spec), source=str(n), examples={"train": n})
    return precedent(found, spec, latents)


def test_recipes_stand_by_the_places_that_the_spreads_leave() -> None:
    advice = advise(DIGITS, 1_000, precedents=[known(DIGITS, DISTANCES)])
    assert [(each.measured_as, each.standing.first, each.standing.last) for each in advice.choices] == [
        ("gan", 1, 2),
        ("pixelcnn", 1, 2),
        ("vae", 3, 3),
        ("glow", 4, 4),
    ]
    assert [each.measured_as for each in advice.rivals] == ["pixelcnn"]
    assert (
        advice.sentence
        == "gan made the samples most like real examples: Fréchet distance 3.1; inconclusive against pixelcnn."
    )


def test_places_are_among_the_recipes_that_fit() -> None:
    values = {"gan": (0.3, 0.31, 0.32), "vae": (0.9, 0.91, 0.92), "pixelcnn": (0.99, 0.99, 0.99)}
    rows = advise(TABLE, 1_000, precedents=[known(TABLE, values, "coverage")])
    assert [(each.measured_as, each.standing.rank, each.standing.among) for each in rows.choices] == [
        ("vae", 1, 2),
        ("gan", 2, 2),
    ]
    assert rows.sentence == "vae made the samples most like real examples: coverage 0.91."


def test_what_was_trained_once_is_not_ranked() -> None:
    advice = advise(DIGITS, 1_000, precedents=[known(DIGITS, {"gan": (3.0,), "vae": (9.0,)})])
    assert [(each.standing.first, each.standing.last) for each in advice.choices] == [(1, 2), (1, 2)]
    assert advice.sentence.endswith("each was trained once, so that nothing is ranked.")


def test_the_conditional_sibling_stands_for_what_was_measured() -> None:
    advice = advise(replace(DIGITS, classes=TWO), 1_000, precedents=[known(DIGITS, DISTANCES)])
    assert [(each.fit.entry.name, each.measured_as) for each in advice.choices][:2] == [
        ("cgan", "gan"),
        ("cpixelcnn", "pixelcnn"),
    ]


def test_one_sibling_stands_for_one_recipe() -> None:
    values = {"gan": (3.0,), "wgan-gp": (4.0,), "vae": (5.0,), "cvae": (6.0,)}
    advice = advise(replace(DIGITS, classes=TWO), 1_000, precedents=[known(DIGITS, values)])
    assert [each.fit.entry.name for each in advice.choices] == ["cgan", "wgan-gp", "vae", "cvae"]


@pytest.mark.parametrize(
    "spec, n, expected",
    [
        (DIGITS, 900, "small"),
        (DIGITS, 90_000, "many"),
        (replace(DIGITS, shape=(1, 28, 28)), 60_000, "many"),
        (replace(DIGITS, shape=(3, 8, 8), levels=256), 900, "colour"),
        (replace(DIGITS, shape=(3, 8, 8), levels=256, palette=((0, 0, 0), (255, 0, 0))), 900, "palette"),
        (replace(DIGITS, shape=(3, 64, 64), levels=256), 30_000, "faces"),
        (TABLE, 900, "rows"),
        (DataSpec(kind="audio", shape=(1, 400), sample_rate=8_000), 500, None),
    ],
)
def test_the_nearest_data_are_of_the_same_kind_and_size(spec: DataSpec, n: int, expected: str | None) -> None:
    colour = replace(DIGITS, shape=(3, 8, 8), levels=256)
    made = {
        "rows": (TABLE, 1_000),
        "small": (DIGITS, 1_000),
        "many": (replace(DIGITS, shape=(1, 28, 28)), 60_000),
        "colour": (colour, 1_000),
        "palette": (replace(colour, palette=((0, 0, 0), (255, 0, 0))), 1_000),
        "faces": (replace(colour, shape=(3, 64, 64)), 10_000),
    }
    table = [replace(known(of, {"vae": (1.0,)}, n=size), source=name) for name, (of, size) in made.items()]
    found = nearest(spec, n, table)
    assert (found.source if found else None) == expected


def test_likelihoods_of_unlike_things_are_never_ranked_together() -> None:
    runs = [
        *(measured("maf", seed, figure("NLL", 5.0 + seed / 10)) for seed in range(3)),
        *(measured("mixture", seed, figure("NLL", 9.0 + seed / 10)) for seed in range(3)),
        *(measured("vae", seed, figure("NLL ≤ ", 1.0 + seed / 10), scored_as="binary") for seed in range(3)),
    ]
    found = precedent(comparison(*runs, kind="table"), TABLE, {})
    advice = advise(TABLE, 1_000, "likelihood", [found])
    assert [(each.measured_as, each.standing.rank) for each in advice.choices] == [("maf", 1), ("mixture", 2)]


def test_codes_are_wanted_shorter_than_the_examples() -> None:
    values = {"vae": (0.1, 0.11, 0.12), "glow": (0.0, 0.0, 0.0)}
    advice = advise(DIGITS, 1_000, "codes", [known(DIGITS, values, "reconstruction MSE", vae=10)])
    assert [(each.measured_as, each.latent) for each in advice.choices] == [("vae", 10)]


def test_control_prefers_what_can_be_steered_in_more_ways() -> None:
    advice = advise(replace(DIGITS, classes=TWO), 1_000, "control", [known(DIGITS, DISTANCES)])
    assert [each.fit.entry.name for each in advice.choices] == ["cpixelcnn", "cvae", "cglow", "cgan"]
    assert advice.sentence.startswith("cpixelcnn (measured as pixelcnn) can be steered in the most ways, and of these ")
    assert advice.sentence.endswith("Fréchet distance 3.2.")


def test_texts_are_chosen_by_what_they_teach() -> None:
    texts = DataSpec(kind="text", shape=(20,), vocabulary=Characters(symbols=tuple("abc"), length=20))
    nats = {"seqgan": (5.0, 5.1, 5.2), "lstm-lm": (4.0, 4.01, 4.02)}
    advice = advise(texts, 1_000, precedents=[known(texts, nats, "reverse LM score")])
    assert [(each.measured_as, each.standing.rank) for each in advice.choices] == [("lstm-lm", 1), ("seqgan", 2)]


def test_more_samples_a_second_are_better() -> None:
    advice = advise(DIGITS, 1_000, "speed", [known(DIGITS, DISTANCES, "samples per second")])
    assert [(each.measured_as, each.standing.rank) for each in advice.choices] == [
        ("glow", 1),
        ("vae", 2),
        ("pixelcnn", None),
        ("gan", None),
    ]


def test_data_that_tell_nothing_of_what_is_wanted_are_passed_over() -> None:
    near = known(DIGITS, DISTANCES, n=1_000)
    far = known(DIGITS, {"vae": (5.0, 5.1, 5.2), "glow": (7.0, 7.1, 7.2)}, "NLL", n=90_000)
    advice = advise(DIGITS, 1_000, "likelihood", [near, far])
    assert advice.precedent == far
    assert advice.choices[0].measured_as == "vae"


def test_where_nothing_was_measured_there_are_opinions() -> None:
    sound = DataSpec(kind="audio", shape=(1, 400), sample_rate=8_000)
    advice = advise(sound, 500, precedents=[known(DIGITS, DISTANCES)])
    assert (advice.precedent, advice.choices) == (None, ())
    assert [(each.fit.entry.name, each.why) for each in advice.opinions] == [
        ("wavenet", "rule of thumb: made for sound, sample by sample")
    ]


def test_suggestions_are_leaders_then_opinions_then_the_others() -> None:
    found = [each.fit.entry.name for each in suggestions(DIGITS, 1_000, precedents=[known(DIGITS, DISTANCES)])]
    assert found == ["gan", "pixelcnn", "vae", "ddpm", "glow"]
    labelled = suggestions(replace(DIGITS, classes=TWO), 1_000, precedents=[known(DIGITS, {"gan": (3.0,)})])
    assert [each.fit.entry.name for each in labelled] == ["cgan", "cddpm", "cvae"]


@pytest.mark.parametrize(
    ("spec", "first"),
    [
        (DataSpec(kind="image", shape=(3, 16, 16), source=(1, 16, 16)), ["pix2pix", "palette"]),
        (DataSpec(kind="image", shape=(3, 16, 16), source=(3, 8, 8)), ["superres", "palette"]),
        (DataSpec(kind="image", shape=(3, 16, 16), classes=TWO), ["restyle"]),
        (DataSpec(kind="image", shape=(3, 16, 16), classes=("a", "b", "c")), ["stargan", "superres", "inpaint"]),
    ],
)
def test_where_translation_is_wanted_recipes_that_translate_are_suggested(spec: DataSpec, first: list[str]) -> None:
    found = [each.fit.entry.name for each in suggestions(spec, 1_000, "translation")]
    assert found[: len(first)] == first
    assert "ddpm" not in found


def test_a_want_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadSetting, match="expected samples, likelihood, codes, control, translation, speed"):
        advise(DIGITS, 1_000, "beauty")


# --- the table --------------------------------------------------------------------------------------------------------


def test_a_table_is_read_as_it_was_written() -> None:
    found = known(DIGITS, {"gan": (3.0, 3.12345, 3.2), "vae": (9.0, 9.1)}, vae=10)
    [again] = precedents.table_from(json.loads(json.dumps(precedents.table([found]))), "here")
    assert again.figures["frechet_distance"].of("gan").mean == 3.108
    assert again.figures["frechet_distance"].of("vae").training == 0.07071
    assert replace(again, figures=found.figures) == found


def test_runs_that_were_there_already_tell_what_they_were_trained_for() -> None:
    runs = [measured("vae", seed, figure("training CPU seconds", 60.0 + 30 * seed)) for seed in range(2)]
    assert precedent(comparison(*runs, budget=""), DIGITS, {}).budget == "1 to 1.5 minutes of the processor per run"
    assert precedent(comparison(measured("vae", 0), budget=""), DIGITS, {}).budget == ""


def test_recipes_that_failed_are_told_and_those_with_several_settings_refused() -> None:
    lost = Failed(contestant="glow", recipe="glow", seed=0, run="", why="It diverged.")
    runs = [measured("vae", 0, figure("Fréchet distance", 3.0))]
    assert precedent(comparison(*runs, failed=(lost,)), DIGITS, {}).failed == {"glow": "It diverged."}
    with pytest.raises(BadInput, match="vae takes part with several settings"):
        precedent(comparison(*runs, measured("wide", 0, recipe="vae")), DIGITS, {})


def test_the_table_that_ships_is_of_several_data_sets_and_recipes_that_there_are() -> None:
    table = precedents.measured()
    assert len({each.source for each in table}) == len(table) >= 6
    assert len(precedents.table(table)["precedents"]) == len(table)
    for each in table:
        recipes = {s.contestant for known in each.figures.values() for s in known.standings}
        assert len(recipes) >= 5
        assert recipes | each.failed.keys() | each.latents.keys() <= REGISTRY.keys()
        assert each.command.startswith("genwerk compare ")
        assert each.machine
        assert each.version
    assert {rule.recipe for rule in RULES} <= REGISTRY.keys()


@pytest.mark.parametrize("want", [want for want in WANTED if want != "translation"])
def test_the_table_that_ships_answers_every_want_for_images_and_tables(want: str) -> None:
    for spec in (DIGITS, replace(TABLE, shape=(30,))):
        assert advise(spec, 1_000, want).choices
