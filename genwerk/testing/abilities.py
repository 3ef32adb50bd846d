"""What every family promises of its abilities: each function fails by an assertion where a :class:`Case` does not keep
it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch

from genwerk import tasks
from genwerk.core.abilities import ABILITIES, abilities
from genwerk.core.errors import BadInput, Unsupported
from genwerk.core.noise import Seeds
from genwerk.core.options import Observation, Streamed, Symbolwise, Tempered
from genwerk.core.spec import DataSpec
from genwerk.diffusion.samplers import SAMPLERS
from genwerk.diffusion.sampling import Diffusion
from genwerk.testing.case import Case
from genwerk.testing.promise import claims, in_range, promise, refused, sampled_with


def loses_nothing(case: Case) -> str | None:
    """Models that are ``lossless`` without a sampler, whose steps are too few here."""
    return None if case.model.lossless and "denoises" not in abilities(case.model) else "loses something"


def completes_as_it_scores(case: Case) -> str | None:
    """Models whose completions are what was drawn."""
    symbolwise = isinstance(case.model.options, Symbolwise)
    if case.model.spec.modality.has_pixels and not symbolwise:
        return "completions are rounded to levels after they are drawn"
    if symbolwise and case.model.symbols.random:
        return "what is known is binarised at random, together with what was drawn"
    return None


def draws_symbols_alone(case: Case) -> str | None:
    """Models whose samples are the symbols that they draw."""
    decoded = "decodes" in abilities(case.model)
    return "the likeliest symbols are those of a code, which a seed draws" if decoded else None


@promise()
def abilities_tell_the_truth(case: Case, _: Path) -> None:
    """The model claims an ability if it has its methods, and hides none.

    Remedy: inherit the ability beside ``Model``, or give the method another name.
    """
    claimed = abilities(case.model)
    assert claimed
    for name, ability in ABILITIES.items():
        methods = [name for name, m in vars(ability).items() if getattr(m, "__isabstractmethod__", False)]
        if name not in claimed:
            assert not any(hasattr(type(case.model), m) for m in methods), f"has the methods of {name} but hides them"


@promise(claims("samples"))
def samples(case: Case, _: Path) -> None:
    """``sample(n, condition, seed=s)`` gives n examples of the data's shape, dtype and range: the same for the same
    seed, others for another.

    Remedy: draw all noise from ``SeededNoise(n, seed, self.device)``, and return what ``spec.modality`` stores, within
    its range.
    """
    condition = case.batch[:5].condition
    x = case.model.sample(5, condition, seed=3)
    assert x.shape == (5, *case.entry.spec.shape)
    assert x.dtype == case.entry.spec.modality.dtype
    assert in_range(x, case.entry.spec)
    assert torch.equal(x, case.model.sample(5, condition, seed=3))
    assert not torch.equal(x, case.model.sample(5, condition, seed=30))


@promise(claims("samples"))
def a_sample_belongs_to_its_seed_and_not_to_its_batch(case: Case, _: Path) -> None:
    """Sample i of a seed is the same drawn alone and among others.

    Remedy: one noise generator per example (``SeededNoise``), and no layer that couples the examples of a batch in
    evaluation mode.
    """
    condition = case.batch[:5].condition
    many = case.model.sample(5, condition, seed=3)
    for i in (0, 2, 4):
        alone = case.model.sample(1, case.batch[i : i + 1].condition, seed=Seeds(3, i))
        torch.testing.assert_close(alone[0], many[i], rtol=1e-4, atol=1e-5)


@promise(claims("translates"))
def translates(case: Case, _: Path) -> None:
    """Sources of any size become images, the same for the same seed, each by itself, and a large image translated in
    tiles shows no seam.

    Remedy: a fully convolutional network without statistics of the whole image; draw noise by its place.
    """
    model, batch = case.model, case.batch
    source, aim = model.source(batch), model.aimed(batch, seed=3)
    x = model.translate(source, aim, seed=3)
    assert x.shape == batch.x.shape == model.shown(source).shape
    assert in_range(x, case.entry.spec)
    assert torch.equal(x, model.translate(source, aim, seed=3))
    one = None if aim is None else aim[2:3]
    assert torch.allclose(x[2:3], model.translate(source[2:3], one, seed=Seeds(3, 2)), atol=1e-5)
    wide = torch.cat([source, source[..., :3]], -1)[2:3]
    whole = model.translate(wide, one, seed=3)[0]
    assert whole.shape[1:] == tuple(model.scale * side for side in wide.shape[2:])
    for (rows, columns), part in tasks.tiles(model, wide[0], 4, condition=one, seed=3):
        assert torch.allclose(part, whole[:, rows, columns], atol=1e-4), "a seam"


@promise(claims("translates-domains"))
def translates_to_domains(case: Case, _: Path) -> None:
    """An example is sent to another domain, by a condition that can be typed, or stays where there is no other.

    Remedy: ``aims(condition, seed=s)`` draws a valid target that differs from the source, from one generator an
    example.
    """
    model, c = case.model, case.condition
    assert c is not None
    aim = model.aims(c, seed=3)
    assert aim.shape == c.shape
    assert model.condition.valid(aim)
    assert torch.equal(aim, model.aims(c, seed=3))
    assert torch.equal(aim[2:3], model.aims(c[2:3], seed=Seeds(3, 2)))
    assert not torch.equal(aim, c)
    assert model.condition.option in ("label", "to")
    with refused(BadInput, "a mask is for models that fill holes"):
        model.taken(case.batch.x, case.batch.x[:, :1] > 0.5)


@promise(claims("encodes", "decodes"))
def encodes_and_decodes(case: Case, _: Path) -> None:
    """``encode`` gives latents of ``latent_shape``, ``decode`` examples of the data's shape and range; neither depends
    on the batch or on chance.

    Remedy: encode to the mean of the posterior, and bring the decoder's output into the data's range.
    """
    z = case.model.encode(case.batch.x, case.condition)
    x = case.model.decode(z, case.condition)
    assert z.shape == (8, *case.model.latent_shape)
    assert x.shape == case.batch.x.shape
    assert in_range(x, case.entry.spec)
    assert torch.equal(z, case.model.encode(case.batch.x, case.condition))
    one = case.batch[2:3].condition
    torch.testing.assert_close(case.model.encode(case.batch.x[2:3], one)[0], z[2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(case.model.decode(z[2:3], one)[0], x[2], rtol=1e-4, atol=1e-5)


@promise(claims("encodes", "decodes"), loses_nothing)
def inverts(case: Case, _: Path) -> None:
    """Where the model is ``lossless``, decoding an example's latent returns the example within 0.0001.

    Remedy: invert in the order opposite to that of the forward pass, and clamp scales away from 0; or set ``lossless =
    False``.
    """
    x, c = case.batch.x, case.condition
    there = case.model.encode(x, c)
    torch.testing.assert_close(case.model.decode(there, c), x, rtol=0, atol=1e-4)


@promise(sampled_with(Tempered))
def tempers(case: Case, _: Path) -> None:
    """At ``temperature=1`` samples are those without a temperature; at 0.7 they differ and stay in range.

    Remedy: multiply the prior's noise by the temperature, and nothing else.
    """
    c = case.batch[:5].condition
    assert torch.equal(case.model.sample(5, c, Tempered(temperature=1.0), seed=3), case.model.sample(5, c, seed=3))
    cold = case.model.sample(5, c, Tempered(temperature=0.7), seed=3)
    assert in_range(cold, case.entry.spec)
    assert not torch.equal(cold, case.model.sample(5, c, seed=3))


@promise(claims("samples"))
def options_have_the_type_of_the_model(case: Case, _: Path) -> None:
    """``sample`` takes the model's own sampling options, which survive JSON, and refuses others by name.

    Remedy: call ``self.options.chosen(options)`` first, and read only what it returns.
    """
    model, c = case.model, case.batch[:2].condition
    assert model.options.chosen(None) == model.options
    assert type(model.options)(**json.loads(json.dumps(asdict(model.options)))) == model.options
    with refused(Unsupported, match="hue"):
        model.options.chosen({"hue": 1})
    other = Diffusion() if isinstance(model.options, Symbolwise) else Symbolwise()
    with refused(Unsupported, match=type(other).__name__):
        model.sample(2, c, other, seed=3)
    torch.testing.assert_close(model.sample(2, c, model.options, seed=3), model.sample(2, c, seed=3))


@promise(claims("denoises"))
def denoises(case: Case, _: Path) -> None:
    """Every sampler takes as many steps as were named, within the data's range, alone as in a batch; ``sdedit`` moves
    an example the further, the greater its strength; guidance and a negative condition take effect.

    Remedy: leave the sampling loop to ``genwerk.diffusion`` and write only the network's prediction; train with
    condition dropout, so that the null condition is known.
    """
    model, spec = case.model, case.entry.spec
    c = case.batch[:3].condition
    for sampler in SAMPLERS:
        options = Diffusion(sampler=sampler, steps=4, spacing="trailing")
        frames = list(model.trace(3, c, options, seed=3))
        assert len(frames) == 4
        assert all(frame.shape == (3, *spec.shape) and in_range(frame, spec) for frame in frames)
        alone = model.sample(1, case.batch[2:3].condition, options, seed=Seeds(3, 2))
        torch.testing.assert_close(alone[0], frames[-1][2], rtol=1e-4, atol=1e-5)
    x, few = case.batch.x[:3], Diffusion(steps=4)
    with refused(ValueError, match=r"strength is 1\.5"):
        model.sdedit(x, 1.5, c, few)
    same, near, far = (model.sdedit(x, strength, c, Diffusion(steps=20), seed=4) for strength in (0.0, 0.1, 1.0))
    if "has-latent-prior" in abilities(model):  # with an autoencoder in between, it is that one's picture
        assert torch.equal(same, x)
    assert (near - same).abs().mean() < (far - same).abs().mean()
    if c is not None:
        name = spec.classes[int(c[0])] if case.model.condition.classes else (case.data.captions or [""])[0]
        c = c[:1].expand(3, *c.shape[1:])
        plain, led = (model.sample(3, c, replace(few, guidance=g), seed=3) for g in (1.0, 4.0))
        assert not torch.equal(plain, led)
        away = model.sample(3, c, replace(few, guidance=4.0, negative=name), seed=3)
        torch.testing.assert_close(away, plain, rtol=1e-3, atol=1e-4)  # away from what it is led to: nowhere
    if spec.modality.has_pixels:
        wide = (spec.shape[1], 2 * spec.shape[2])
        size = f"{wide[1]}x{wide[0]}"
        assert model.sample(1, case.batch[:1].condition, replace(few, size=size), seed=3).shape[2:] == wide


@promise(claims("has-latent-prior"))
def steers(case: Case, _: Path) -> None:
    """``prior`` draws latents by seed, ``decode`` is differentiable in them, and a sample is a decoded latent of the
    prior.

    Remedy: build ``sample`` of ``prior`` and ``decode``, and keep ``torch.no_grad`` out of ``decode``.
    """
    z = case.model.prior(5, seed=3)
    assert z.shape == (5, *case.model.latent_shape)
    assert torch.equal(z[2:3], case.model.prior(1, seed=Seeds(3, 2)))
    condition = case.batch[:5].condition
    x = case.model.decode(z.requires_grad_(), condition)
    (gradient,) = torch.autograd.grad(x.sum(), z)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
    if "samples" in abilities(case.model):
        if "styles" in abilities(case.model):
            x = case.model.synthesise(case.model.map(z, condition), case.model.draw_noise(5, seed=3))
        mean = Observation(observation="mean") if isinstance(case.model.options, Observation) else None
        torch.testing.assert_close(case.model.sample(5, condition, mean, seed=3), x.detach(), rtol=1e-4, atol=1e-5)


@promise(sampled_with(Observation))
def observes(case: Case, _: Path) -> None:
    """``observation`` chooses between a draw from the decoder's distribution and its mean: a draw for tables, the mean
    otherwise.

    Remedy: return the mean or a draw as ``options.observation`` says, with the draw's noise taken from the seed.
    """
    model, condition = case.model, case.batch[:5].condition
    drawn, mean = (model.sample(5, condition, Observation(observation=how), seed=3) for how in ("draw", "mean"))
    assert drawn.shape == mean.shape == (5, *model.spec.shape)
    assert not torch.equal(drawn, mean)
    assert torch.equal(model.sample(5, condition, seed=3), drawn if model.options.observation == "draw" else mean)
    assert model.options.observation == ("draw" if model.spec.modality.has_columns else "mean")


@promise(claims("styles"))
def styles(case: Case, _: Path) -> None:
    """``map`` gives one style to each layer, ``synthesise`` an image of styles and noise, and every style has an
    effect.

    Remedy: feed each layer its own row of w, and list ``style_sizes`` from the smallest layer to the largest.
    """
    model, layers = case.model, len(case.model.style_sizes)
    condition = case.batch[:5].condition
    z = model.prior(5, seed=3)
    w = model.map(z, condition)
    assert w.shape[:2] == (5, layers)
    assert w.dim() == 3
    assert (w == w[:, :1]).all()
    assert list(model.style_sizes) == sorted(model.style_sizes)
    assert max(model.style_sizes) >= max(case.entry.spec.shape[1:])
    torch.testing.assert_close(model.synthesise(w), model.decode(z, condition), rtol=1e-4, atol=1e-5)
    assert model.mean_style().shape == w.shape[2:]
    noise = model.draw_noise(5, seed=3)
    assert all(n.shape == (5, 1, *n.shape[2:]) for n in noise)
    assert all(torch.equal(a[2:3], b) for a, b in zip(noise, model.draw_noise(1, seed=Seeds(3, 2)), strict=True))
    apart = w.detach().clone().requires_grad_()
    x = model.synthesise(apart, noise)
    assert in_range(x, case.entry.spec)
    (gradient,) = torch.autograd.grad(x.sum(), apart)
    assert gradient.isfinite().all()
    assert (gradient.abs().sum((0, 2)) > 0).all(), "a style that acts on nothing"


@promise(claims("has-likelihood"))
def scores(case: Case, _: Path) -> None:
    """``log_prob`` gives one finite log-likelihood in nats per example, whatever else is in the batch.

    Remedy: sum over an example's values, not over the batch; add the log-determinant of every change of units.
    """
    log_p = case.model.log_prob(case.batch.x, case.condition)
    assert log_p.shape == (8,)
    assert log_p.isfinite().all()
    one = case.batch[2:3].condition
    torch.testing.assert_close(case.model.log_prob(case.batch.x[2:3], one)[0], log_p[2], rtol=1e-4, atol=1e-4)


@promise(claims("bounds-likelihood"))
def bounds(case: Case, _: Path) -> None:
    """``log_prob_bound`` gives one finite lower bound per example, the same for the same seed.

    Remedy: draw the posterior's noise from the seed.
    """
    bound = case.model.log_prob_bound(case.batch.x, 4, case.condition, seed=1)
    assert bound.shape == (8,)
    assert bound.isfinite().all()
    assert torch.equal(bound, case.model.log_prob_bound(case.batch.x, 4, case.condition, seed=1))


@promise(claims("importance-weighted"))
def weighs(case: Case, _: Path) -> None:
    """``log_weights`` gives log p(x, z) - log q(z | x) of each draw, and the bound is their log-mean-exp.

    Remedy: compute ``log_prob_bound`` from ``log_weights``, with one noise generator per example.
    """
    w = case.model.log_weights(case.batch.x, 6, case.condition, seed=1)
    assert w.shape == (8, 6)
    bound = case.model.log_prob_bound(case.batch.x, 6, case.condition, seed=1)
    torch.testing.assert_close(torch.logsumexp(w, 1) - torch.tensor(6.0).log(), bound)
    one = case.batch[2:3].condition
    alone = case.model.log_weights(case.batch.x[2:3], 6, one, seed=Seeds(1, 2))
    torch.testing.assert_close(alone[0], w[2], rtol=1e-4, atol=1e-3)


def first_half(spec: DataSpec) -> torch.Tensor:
    """The mask of an image's upper half, or of the first half of anything else."""
    known = torch.zeros(spec.shape, dtype=torch.bool)
    size = spec.shape[1] if spec.modality.has_pixels else spec.shape[-1]
    known.movedim(1 if spec.modality.has_pixels else -1, 0)[: size // 2] = True
    return known


@promise(claims("completes"))
def completes(case: Case, _: Path) -> None:
    """``complete`` keeps what is known to the bit, draws the rest in range and by seed, several ways, and tells the
    log-likelihood of each.

    Remedy: copy the known values into the result last; draw every completion with noise of its own.
    """
    known = first_half(case.entry.spec)
    found = case.model.complete(case.batch.x, known, 3, case.condition, seed=2)
    assert found.x.shape == (8, 3, *case.entry.spec.shape)
    if "denoises" in abilities(case.model):
        assert found.log_prob is None
    else:
        assert found.log_prob.shape == (8, 3)
        assert found.log_prob.isfinite().all()
    assert in_range(found.x, case.entry.spec)
    assert torch.equal(found.x[:, :, known], case.batch.x.unsqueeze(1).expand_as(found.x)[:, :, known])
    assert torch.equal(found.x, case.model.complete(case.batch.x, known, 3, case.condition, seed=2).x)
    if case.entry.spec.dims > 1:
        assert not torch.equal(found.x[:, 0], found.x[:, 1])


@promise(claims("completes", "has-likelihood"), completes_as_it_scores)
def a_completion_is_as_likely_as_it_is_said_to_be(case: Case, _: Path) -> None:
    """Of the k completions of one example, log-likelihoods differ as those of the whole examples do.

    Remedy: count the log-likelihood of the values that were drawn, at temperature 1, in the order in which they were
    drawn.
    """
    known = first_half(case.entry.spec)
    c = case.batch[:1].condition
    found = case.model.complete(case.batch.x[:1], known, 4, c, seed=2)
    log_p = case.model.log_prob(found.x[0], None if c is None else c.expand(4)).double()
    told = found.log_prob[0].double()
    torch.testing.assert_close(told - told[0], log_p - log_p[0], rtol=1e-3, atol=1e-2)


@promise(claims("traces"))
def traces(case: Case, _: Path) -> None:
    """``trace`` yields frames of the data's shape and range, of which the last is the sample of the same seed.

    Remedy: write ``trace`` alone, and let ``sample`` return its last frame.
    """
    c = case.batch[:3].condition
    frames = list(case.model.trace(3, c, seed=4))
    assert all(frame.shape == (3, *case.entry.spec.shape) and in_range(frame, case.entry.spec) for frame in frames)
    assert len(frames) > 1
    assert torch.equal(frames[-1], case.model.sample(3, c, seed=4))


@promise(sampled_with(Symbolwise), draws_symbols_alone)
def symbols(case: Case, _: Path) -> None:
    """At ``temperature=0`` the likeliest symbols are drawn, whatever the seed.

    Remedy: take the maximum at temperature 0 instead of dividing by it.
    """
    c = case.batch[:3].condition
    likeliest = replace(case.model.options, temperature=0.0)
    one, other = (case.model.sample(3, c, likeliest, seed=s) for s in (4, 40))
    if c is not None or not case.model.condition.classes:
        assert torch.equal(one, other), "the likeliest symbols do not depend on the seed"


@promise(sampled_with(Streamed))
def streams(case: Case, _: Path) -> None:
    """A stream in blocks of any length is the sample of the same seed, and goes on beyond an example's length.

    Remedy: keep the state between blocks, and draw noise by position rather than by block.
    """
    c, length = case.batch[:2].condition, case.entry.spec.shape[-1]
    whole = next(case.model.stream(2, c, block=length + 10, seed=4))
    assert in_range(whole, case.entry.spec)
    assert torch.equal(whole[..., :length], case.model.sample(2, c, seed=4))
    blocks = case.model.stream(2, c, block=7, seed=4)
    assert torch.equal(torch.cat([next(blocks) for _ in range(3)], -1), whole[..., :21])


@promise(claims("diagnoses"))
def diagnoses(case: Case, _: Path) -> None:
    """``diagnose`` gives finite numbers, or vectors of them, by name.

    Remedy: average over the batch before you return.
    """
    found = case.model.diagnose(case.batch.x, case.condition)
    assert found
    assert all(values.dim() <= 1 and values.isfinite().all() for values in found.values())
