"""StarGAN: what each loss is of, who learns from it, and attributes that are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from genwerk import tasks
from genwerk.core.attributes import KEPT
from genwerk.core.errors import BadInput
from genwerk.core.model import build
from genwerk.core.spec import Batch, DataSpec
from genwerk.families.stargan import StarGAN, StarGANConfig
from genwerk.nn.adversarial.attributes import AttributeDiscriminatorConfig
from genwerk.nn.adversarial.objectives import LeastSquares
from genwerk.nn.translation import ResNetGeneratorConfig

SPEC = DataSpec(
    kind="image",
    shape=(3, 16, 16),
    attributes=(("hair", ("black hair", "blue hair", "red hair")), ("eyes", ("blue eyes", "green eyes"))),
)
CONFIG = StarGANConfig(
    network=ResNetGeneratorConfig(width=4, halvings=1, blocks=2, kernel=3),
    output="mask",
    discriminator=AttributeDiscriminatorConfig(width=4, halvings=2),
    objective=LeastSquares(),
    gradient_penalty=0.0,
    classification=2.0,
    change=3.0,
)


def model(config: StarGANConfig = CONFIG, spec: DataSpec = SPEC) -> StarGAN:
    """With weights away from what they begin as, so that everything depends on everything."""
    torch.manual_seed(0)
    built = build(config, spec)
    assert isinstance(built, StarGAN)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built.eval()


def batch(n: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    hair, eyes = (torch.randint(k, (n,), generator=generator) for k in (3, 2))
    return Batch(torch.rand(n, 3, 16, 16, generator=generator), torch.stack([hair, eyes], 1))


def test_the_losses_are_those_of_the_paper() -> None:
    made, given = model(), batch()
    assert given.condition is not None
    target, x = (given.condition + 1) % torch.tensor([3, 2]), 2 * given.x - 1
    fake = made.generate(x, target)
    back = made.generate(fake, given.condition)
    (real_score, real_logits), (score, logits) = made.discriminator(x), made.discriminator(fake)

    def classified(logits: list[torch.Tensor], values: torch.Tensor) -> torch.Tensor:
        return cross_entropy(logits[0], values[:, 0]) + cross_entropy(logits[1], values[:, 1])

    expected = 0.5 * (score - 1).square().mean() + 2 * classified(logits, target)
    expected += 10 * (x - back).abs().mean() + 3 * (fake - x).abs().mean()
    torch.testing.assert_close(made.generator_loss(given, target)[0], expected)
    expected = 0.5 * (real_score - 1).square().mean() + 0.5 * score.square().mean()
    expected += 2 * classified(real_logits, given.condition)  # of real images alone
    loss, metrics = made.discriminator_loss(given, target, torch.rand(4))
    torch.testing.assert_close(loss, expected)
    right = [(a.argmax(1) == c).float().mean() for a, c in zip(real_logits, given.condition.T, strict=True)]
    torch.testing.assert_close(metrics["real right"], torch.stack(right).mean())


def test_the_discriminator_learns_nothing_for_the_generator_and_its_classifier_nothing_from_fakes() -> None:
    made, given = model(), batch()
    assert given.condition is not None
    loss, _ = made.discriminator_loss(given, given.condition, torch.rand(4))
    gradients = torch.autograd.grad(loss, list(made.generator.parameters()), allow_unused=True)
    assert all(g is None for g in gradients)
    weight = made.discriminator.classes.weight
    (found,) = torch.autograd.grad(loss, weight, retain_graph=True)
    (alone,) = torch.autograd.grad(
        2 * made.classify(made.discriminator(2 * given.x - 1)[1], given.condition)[0], weight
    )
    torch.testing.assert_close(found, alone)


def test_the_condition_matters_everywhere_in_the_image() -> None:
    """Also far from borders, where planes beside the image would be lost to instance normalisation."""
    made = model(replace(CONFIG, output="image"))
    x = torch.rand(1, 3, 16, 16)
    one, other = (made.translate(x, torch.tensor([[k, 0]])) for k in (0, 1))
    assert ((one - other).abs().amax(1) > 1e-4).all()


def test_a_kept_attribute_is_the_one_that_is_seen() -> None:
    made, x = model(), batch().x
    seen = made.seen(x)
    aim = torch.tensor([[2, KEPT]]).expand(4, -1)
    wanted = torch.stack([torch.full((4,), 2), seen[:, 1]], 1)
    assert torch.equal(made.translate(x, aim), made.translate(x, wanted))
    large = torch.nn.functional.interpolate(x, scale_factor=3)  # seen as it is when it is shrunk
    assert torch.equal(made.seen(large), seen)


def test_aims_are_other_values_of_one_attribute() -> None:
    made = model()
    now = torch.stack([torch.arange(600) % 3, torch.arange(600) % 2], 1)
    aims = made.aims(now, seed=0)
    assert ((aims == KEPT).sum(1) == 1).all()
    assert (aims != now).all()
    assert set(aims[aims[:, 1] == KEPT][:, 0].tolist()) == {0, 1, 2}
    assert made.condition.valid(aims)


def test_a_label_is_an_attribute_where_there_are_no_others() -> None:
    made = model(spec=replace(SPEC, attributes=(), classes=("cat", "dog")))
    assert made.condition.names == ("class",)
    assert made.translate(torch.rand(2, 3, 16, 16), made.condition.parse(["dog"])).shape == (2, 3, 16, 16)


def test_it_learns_the_attributes_that_are_named() -> None:
    made = model(replace(CONFIG, attributes=("eyes",)))
    assert made.condition.names == ("eyes",)
    assert made.discriminator(torch.rand(1, 3, 16, 16))[1][0].shape == (1, 2)


def test_tiles_make_what_the_whole_makes() -> None:
    made, aim = model(), torch.tensor([[1, KEPT]])
    source = torch.rand(3, 61, 85, generator=torch.Generator().manual_seed(1))
    whole = made.translate(source.unsqueeze(0), aim)[0]
    assert whole.std() > 0.01
    for (rows, columns), part in tasks.tiles(made, source, 20, condition=aim):
        torch.testing.assert_close(part, whole[:, rows, columns], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "spec", "why"),
    [
        ({}, replace(SPEC, attributes=()), "the data carry no attributes"),
        ({"attributes": ("nose",)}, SPEC, "no attribute 'nose'; theirs are hair, eyes"),
        ({}, DataSpec(kind="table", shape=(4,)), "translates images"),
    ],
)
def test_data_that_it_cannot_learn_are_refused(changes: dict[str, object], spec: DataSpec, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        build(replace(CONFIG, **changes), spec)  # type: ignore[arg-type]
