"""Sampling options: what is asked takes the place of a model's own, and only what makes sense."""

from __future__ import annotations

from typing import Any

import pytest

from genwerk.core.errors import BadInput, Unsupported
from genwerk.core.options import Observation, Plain, SamplingOptions, Streamed, Symbolwise, kinds
from genwerk.diffusion.sampling import Diffusion

OWN = Diffusion(sampler="heun", spacing="karras", steps=18, guidance=3.0, negative="a cat")


def test_what_is_not_asked_stays_the_models_own() -> None:
    assert OWN.chosen(None) is OWN
    assert OWN.chosen({}) == OWN
    assert OWN.chosen({"steps": 5}) == Diffusion(
        sampler="heun", spacing="karras", steps=5, guidance=3.0, negative="a cat"
    )
    assert OWN.chosen(Diffusion(steps=5)) == Diffusion(steps=5)


def test_another_sampler_takes_levels_that_suit_it() -> None:
    assert OWN.chosen({"sampler": "ddim"}).spacing is None
    assert OWN.chosen({"sampler": "ddim", "spacing": "leading"}).spacing == "leading"
    assert OWN.chosen({"sampler": "heun", "steps": 5}).spacing == "karras"


def test_options_of_a_base_stand_for_what_they_say() -> None:
    own = Streamed(seconds=2.0)
    assert own.chosen(Symbolwise(temperature=0.5)) == Streamed(seconds=2.0, temperature=0.5)
    with pytest.raises(Unsupported, match=r"no options Streamed; they have temperature, top_k, top_p, particles"):
        Symbolwise().chosen(own)


def test_no_options_are_told_as_such() -> None:
    with pytest.raises(Unsupported, match="samples have no steps; they have no options at all"):
        Plain().chosen({"steps": 3})


def test_every_kind_is_found_and_has_its_own_defaults() -> None:
    assert {Plain, Observation, Symbolwise, Streamed, Diffusion} <= {*kinds()}
    assert all(isinstance(kind(), SamplingOptions) for kind in kinds() if kind.__module__.startswith("genwerk"))


@pytest.mark.parametrize(("size", "sides"), [("96x64", (64, 96)), ("32", (32, 32)), ("8X4", (4, 8)), (None, None)])
def test_a_size_is_width_by_height(size: str | None, sides: tuple[int, int] | None) -> None:
    assert Diffusion(size=size).sides == sides


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"size": "big"}, "expected WIDTHxHEIGHT"),
        ({"size": "0x8"}, "1 pixel or more each way"),
        ({"size": "1x2x3"}, "expected WIDTHxHEIGHT"),
        ({"guidance": float("nan")}, "guidance is nan; expected a finite number"),
        ({"eta": float("inf")}, "eta is inf; expected a finite number"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises((BadInput, ValueError), match=words):
        OWN.chosen(asked)
