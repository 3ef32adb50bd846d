"""Ranks need certainty: spreads, intervals and places against numbers worked out by hand."""

from __future__ import annotations

from math import inf, isnan, nan, sqrt

import pytest
from compared import column, comparison, figure, measured

from genwerk.comparison.figures import Better, Section
from genwerk.comparison.ranking import Column, Standing, columns, surely_better
from genwerk.comparison.result import Comparison


def only(found: Comparison) -> Column:
    (one,) = columns(found)
    return one


def places(found: Comparison) -> dict[str, tuple[int, int]]:
    return {each.contestant: (each.first, each.last) for each in only(found).standings}


def test_the_two_spreads_stay_apart() -> None:
    runs = [measured("gan", i, figure("FID", v, s)) for i, (v, s) in enumerate([(1.0, 3.0), (2.0, 4.0), (6.0, 5.0)])]
    (found,) = only(comparison(*runs)).standings
    assert found.mean == 3
    assert found.sampling == pytest.approx(sqrt((9 + 16 + 25) / 3))
    assert found.training == pytest.approx(sqrt((4 + 1 + 9) / 2))
    # Student's t of 95 % has 4.302653 at two degrees of freedom
    both = (4.302653 * found.training) ** 2 + (1.96 * found.sampling) ** 2
    assert found.margin == pytest.approx(sqrt(both / 3), rel=1e-6)
    assert (found.first, found.last) == (0, 0)  # of one there is no rank


def test_places_are_as_wide_as_what_is_uncertain() -> None:
    """Intervals: a 9 to 11 or so, b and c overlap, d far above."""
    values = {"d": (90.0, 90.1, 90.2), "b": (20.0, 21.0, 22.0), "a": (10.0, 10.1, 10.2), "c": (21.0, 22.0, 23.0)}
    assert places(column("FID", values)) == {"d": (4, 4), "b": (2, 3), "a": (1, 1), "c": (2, 3)}
    assert places(column("recall", values)) == {"d": (1, 1), "b": (2, 3), "a": (4, 4), "c": (2, 3)}
    assert places(column("Vendi score", values)) == dict.fromkeys(values, (0, 0))
    assert [each.contestant for each in only(column("FID", values)).leaders] == ["a"]


def test_one_training_seed_ranks_nothing() -> None:
    values = {"a": (1.0,), "b": (50.0, 50.0), "c": (99.0, 99.0)}
    found = only(column("FID", values, spread=0.01))
    assert [(each.first, each.last) for each in found.standings] == [(1, 3), (1, 2), (2, 3)]
    assert found.standings[0].margin == inf
    assert found.standings[0].training is None


def test_the_same_seed_twice_is_one_seed() -> None:
    twice = [measured("a", 5, figure("FID", 1.0)), measured("a", 5, figure("FID", 1.0))]
    other = [measured("b", i, figure("FID", 9.0)) for i in range(2)]
    assert places(comparison(*twice, *other)) == {"a": (1, 2), "b": (1, 2)}


def test_sampling_alone_can_make_a_rank_uncertain() -> None:
    values = {"a": (10.0, 10.0), "b": (11.0, 11.0)}
    assert places(column("FID", values, spread=0.3)) == {"a": (1, 1), "b": (2, 2)}
    assert places(column("FID", values, spread=0.4)) == {"a": (1, 2), "b": (1, 2)}  # 2 x 1.96 x 0.4 / √2 > 1


def test_small_gaps_mean_nothing_but_in_nats() -> None:
    values = {"a": (100.0, 100.0), "b": (101.2, 101.2), "c": (101.4, 101.4)}
    assert places(column("FID", values)) == {"a": (1, 2), "b": (1, 3), "c": (2, 3)}  # 1.2 / 101.2 < 1.3 % < 1.4 / 101.4
    assert places(column("NLL", values)) == {"a": (1, 1), "b": (2, 2), "c": (3, 3)}


@pytest.mark.parametrize("key", ["nll", "bits_per_dim"])
def test_a_bound_may_be_surely_better_and_never_surely_worse(key: str) -> None:
    name = {"nll": "NLL", "bits_per_dim": "bits/dim"}[key]
    values = {"vae": ("≤ ", 50.0), "ddpm": ("≤ ", 90.0), "flow": ("", 70.0), "pixelcnn": ("", 60.0)}
    runs = [measured(c, i, figure(sign + name, v)) for c, (sign, v) in values.items() for i in range(2)]
    found = only(comparison(*runs))
    assert found.key == key
    assert {each.contestant: each.bound for each in found.standings} == {
        "vae": True,
        "ddpm": True,
        "flow": False,
        "pixelcnn": False,
    }
    # the VAE has at most 50, so it is ahead of both exact ones, but the DDPM, at most 90, may have anything below
    assert {each.contestant: (each.first, each.last) for each in found.standings} == {
        "vae": (1, 2),
        "ddpm": (1, 4),
        "flow": (3, 4),
        "pixelcnn": (2, 3),
    }


def test_what_is_not_finite_is_counted_and_ranked_nowhere() -> None:
    found = only(column("FID", {"a": (1.0, nan, 3.0), "b": (inf, nan, nan), "c": (50.0, 50.0, 50.0)}))
    a, b, c = found.standings
    assert (a.mean, a.runs, a.lost) == (2, 2, 1)
    assert isnan(b.mean)
    assert (b.runs, b.lost, b.training, b.first) == (0, 3, None, 0)
    assert (c.first, c.last, c.among) == (2, 2, 2)


def test_a_contestant_without_the_figure_has_no_standing() -> None:
    runs = [measured("gan", i, figure("FID", 3.0)) for i in range(2)] + [measured("ae", 0)]
    found = only(comparison(*runs))
    assert found.of("ae") is None
    assert found.of("gan") is not None


def test_likelihoods_of_unlike_things_are_not_compared() -> None:
    runs = [measured("vae", i, figure("≤ NLL", 90.0), scored_as="binary") for i in range(2)]
    runs += [measured("flow", i, figure("NLL", 900.0)) for i in range(2)]
    runs += [measured("nice", i, figure("NLL", 950.0)) for i in range(2)]
    runs += [measured("cflow", i, figure("NLL", 800.0), condition="label") for i in range(2)]
    found = {each.name: {s.contestant for s in each.standings} for each in columns(comparison(*runs))}
    assert found == {"NLL of binary pixels": {"vae"}, "NLL": {"flow", "nice"}, "NLL given label": {"cflow"}}
    summed = [figure("NLL given label", 800.0), figure("NLL", 801.0)]
    found = {each.name for each in columns(comparison(measured("c", 0, *summed, condition="label")))}
    assert found == {"NLL given label", "NLL"}


def test_an_exact_value_stands_before_a_bound_of_the_same() -> None:
    (found,) = only(comparison(measured("m", 0, figure("≤ NLL", 5.0), figure("NLL", 4.0)))).standings
    assert (found.mean, found.bound) == (4.0, False)


def test_columns_stand_by_section_and_those_that_rank_first() -> None:
    run = measured("m", 0, figure("PSNR", 1.0), figure("Vendi score", 1.0), figure("FID", 1.0), figure("mine", 1.0))
    assert [each.key for each in columns(comparison(run))] == ["fid", "vendi_score", "psnr", "mine"]
    assert [each.key for each in columns(comparison(run), Section.RECONSTRUCTION)] == ["psnr"]


def test_equal_values_are_not_better() -> None:
    a, b = (Standing(contestant=name, mean=0.0, sampling=None, training=0.0, runs=2) for name in "ab")
    assert not surely_better(a, b, Better.LESS, Section.QUALITY)
