"""A generation of the evolutionary GAN against separate networks, separate optimisers and gradients by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from genwerk.core.model import Loss, Metrics
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.egan import EGAN, EGANConfig, mutation
from genwerk.nn.adversarial import DCGANConfig, MLPConfig
from genwerk.nn.adversarial.dcgan import DCGANGenerator
from genwerk.nn.adversarial.population import Population, select_rows
from genwerk.nn.mlp import MLPDecoder
from genwerk.training.events import RoundDone
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="table", shape=(2,))
IMAGE = DataSpec(kind="image", shape=(1, 12, 12), classes=("a", "b"))
CONFIG = EGANConfig(network=MLPConfig(width=8, layers=2), latent=3, parents=2, gamma=0.3)
PAPER: list[Callable[[Tensor], Tensor]] = [
    lambda d: 0.5 * (1 - d).log().mean(),
    lambda d: -0.5 * d.log().mean(),
    lambda d: (d - 1).square().mean(),
]
"""The three mutations as the paper writes them, as functions of D(G(z))."""
NAMES = ("minimax", "non-saturating", "least-squares")


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def alone(population: Population) -> list[nn.Module]:
    """Every individual as a module of its own."""
    modules = []
    for row in range(population.size):
        module = deepcopy(population.body)
        for name, p in population.body.named_parameters():
            path, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(path), leaf, nn.Parameter(p.detach()[row].clone()))
        modules.append(module)
    return modules


def scrambled(model: EGAN) -> EGAN:
    """``model`` with weights in which all rows differ."""
    for p in model.parameters():
        p.data += 0.3 * torch.randn_like(p)
    return model


def discriminator_loss(model: EGAN, x: Tensor, made: Tensor) -> Tensor:
    score = model.discriminator
    return -logsigmoid(score(x).score).mean() - logsigmoid(-score(made).score).mean()


def by_hand(model: EGAN, loss: Tensor) -> Tensor:
    gradients = torch.autograd.grad(loss, list(model.discriminator.parameters()))
    return torch.cat([g.flatten() for g in gradients])


# --- a population -----------------------------------------------------------------------------------------------------


def test_a_population_makes_what_its_individuals_make() -> None:
    individuals = [DCGANGenerator((1, 12, 12), 3, 4, norm="none") for _ in range(3)]
    population, z = Population(individuals), torch.randn(5, 3)
    torch.testing.assert_close(population(z), torch.stack([i(z) for i in individuals]))
    torch.testing.assert_close(population(z, rows=(2, 0)), torch.stack([individuals[2](z), individuals[0](z)]))


def test_a_population_owns_its_stacked_parameters() -> None:
    individual = MLPDecoder((2,), 3, (4,), "relu")
    population = Population([individual, individual])
    assert {n: p.shape[1:] for n, p in population.body.named_parameters()} == {
        n: p.shape for n, p in individual.named_parameters()
    }
    population(torch.randn(5, 3)).sum().backward()
    assert all(p.grad is not None and p.grad.shape[0] == 2 for p in population.parameters())
    assert all(p.grad is None for p in individual.parameters())


def test_buffers_and_emptiness_are_refused() -> None:
    with pytest.raises(ValueError, match="batch normalisation"):
        Population([DCGANGenerator((1, 12, 12), 3, 4)])
    with pytest.raises(ValueError, match="1 or more"):
        Population([])


def test_rows_of_a_snapshot_move_and_counts_stay() -> None:
    state = {"a": {"w": torch.tensor([[1.0], [2.0], [3.0]]), "step": torch.tensor(7.0)}}
    moved = select_rows(state, torch.tensor([2, 2, 0]))
    assert moved["a"]["w"].flatten().tolist() == [3, 3, 1]
    assert moved["a"]["step"] == 7


# --- variation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "paper"), [*zip(NAMES, PAPER, strict=True)])
def test_mutations_are_those_of_the_paper(name: str, paper: Callable[[Tensor], Tensor]) -> None:
    score = torch.linspace(-3, 4, 9)
    torch.testing.assert_close(mutation(name)(score), paper(score.sigmoid()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "spec"),
    [(CONFIG, SPEC), (replace(CONFIG, network=DCGANConfig(width=4), conditioning="concatenate", norm="layer"), IMAGE)],
)
def test_children_are_trained_as_if_alone(config: EGANConfig, spec: DataSpec) -> None:
    model, z = scrambled(EGAN(config, spec)), torch.randn(6, 3)
    c = torch.tensor([0, 1, 1, 0, 1, 0]) if config.conditioning != "none" else None
    model.variation(z, c)[0].backward()
    for row, child in enumerate(alone(model.generator)):
        made = model.squash(child(z, c))
        PAPER[row % 3](model.discriminator(made, c).score.sigmoid()).backward()
        for together, p in zip(model.generator.parameters(), child.parameters(), strict=True):
            torch.testing.assert_close(together.grad[row], p.grad)


# --- evaluation and selection -----------------------------------------------------------------------------------------


def test_fitness_by_hand() -> None:
    model, x, z = scrambled(EGAN(CONFIG, SPEC)), torch.randn(7, 2), torch.randn(7, 3)
    with torch.no_grad():
        _, report = model.evaluation(Batch(x), z)
    fitness = []
    for row, child in enumerate(alone(model.generator)):
        made = child(z).detach()
        loss = discriminator_loss(model, x, made)
        gradient = by_hand(model, loss)
        torch.testing.assert_close(report["gradients"][row], gradient)
        torch.testing.assert_close(report["losses"][row], loss.detach())
        quality = model.discriminator(made).score.sigmoid().mean().item()
        fitness.append(quality - 0.3 * gradient.square().sum().sqrt().log().item())
    fittest, figures = model.selection(report)
    expected = sorted(range(6), key=lambda row: -fitness[row])[:2]
    assert fittest.tolist() == expected
    assert figures["fitness"].item() == pytest.approx(fitness[expected[0]])
    assert [figures[f"{name} won"].item() for name in NAMES] == [float(m == expected[0] % 3) for m in range(3)]
    assert model.wins.tolist() == [int(m == expected[0] % 3) for m in range(3)]


def test_gamma_zero_is_quality_alone_even_without_a_gradient() -> None:
    model = EGAN(replace(CONFIG, gamma=0.0), SPEC)
    quality = torch.tensor([0.1, 0.2, 0.6, 0.3, 0.5, 0.4])
    fittest, _ = model.selection({"quality": quality, "gradients": torch.zeros(6, 4), "losses": quality})
    assert fittest.tolist() == [2, 4]


def test_the_step_already_paid_for_has_the_gradient_of_the_loss() -> None:
    """With one parent the first step of the discriminator is the ordinary one, penalties and all."""
    config = replace(CONFIG, parents=1, r1=0.7, gradient_penalty=0.3)
    model, x, z, u = scrambled(EGAN(config, SPEC)), torch.randn(7, 2), torch.randn(7, 3), torch.rand(7, 2)
    with torch.no_grad():
        _, report = model.evaluation(Batch(x), z)
    known, _ = model.known_loss(Batch(x), z, u, report["losses"][0], report["gradients"][0], {})
    ordinary, _ = model.discriminator_loss(Batch(x), z, u, {})
    torch.testing.assert_close(known, ordinary)
    torch.testing.assert_close(by_hand(model, known), by_hand(model, ordinary))


def test_survivors_share_the_work_of_making() -> None:
    model, z = scrambled(EGAN(CONFIG, SPEC)), torch.randn(4, 3)
    u = torch.tensor([[0.0, 0.1], [0.0, 0.6], [0.0, 0.9], [0.0, 0.4]])
    first, _, _, second, *_ = (child(z) for child in alone(model.generator))
    expected = torch.stack([first[0], second[1], second[2], first[3]])
    torch.testing.assert_close(model._by_survivors(z, None, u), expected)


# --- generations ------------------------------------------------------------------------------------------------------


class Recorded(EGAN):
    """An E-GAN that remembers the data of its turns."""

    def __init__(self, config: EGANConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.seen: list[tuple[Tensor, ...]] = []

    def variation(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        self.seen.append((z,))
        return super().variation(z, condition)

    def evaluation(self, batch: Batch, z: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        self.seen[-1] += (batch.x, z)
        return super().evaluation(batch, z)


def test_generations_are_those_of_separate_generators_with_separate_optimisers() -> None:
    optim = OptimConfig(lr=0.05, betas=(0.5, 0.9))
    settings = TrainConfig(rounds=5, batch_size=8, optim={"generator": optim, "discriminator": optim}, sample_every=0)
    data = Dataset(x=torch.randn(40, 2) + torch.tensor([1.0, 0.0]), spec=SPEC)
    model = Recorded(CONFIG, SPEC)
    parents = alone(model.generator)[::3]
    judge = EGAN(CONFIG, SPEC)
    judge.discriminator.load_state_dict(model.discriminator.state_dict())
    Trainer(model, data, settings).fit()

    def adam(module: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(module.parameters(), lr=0.05, betas=(0.5, 0.9))

    optimisers, judges = [adam(p) for p in parents], adam(judge.discriminator)
    winners = []
    for z, raw, z_judged in model.seen:
        x, children = model.inward(raw), []
        for parent, optimiser in zip(parents, optimisers, strict=True):
            for name, loss in zip(NAMES, PAPER, strict=True):
                child = deepcopy(parent)
                own = adam(child)
                own.load_state_dict(deepcopy(optimiser.state_dict()))
                own.zero_grad()
                loss(judge.discriminator(child(z)).score.sigmoid()).backward()
                own.step()
                made = child(z_judged).detach()
                cost = discriminator_loss(judge, x, made)
                quality = judge.discriminator(made).score.sigmoid().mean()
                fitness = quality - 0.3 * by_hand(judge, cost).norm().log()
                children.append((fitness.item(), name, child, own, made))
        children.sort(key=lambda c: -c[0])
        winners.append(children[0][1])
        parents, optimisers = [c[2] for c in children[:2]], [c[3] for c in children[:2]]
        judges.zero_grad()
        torch.stack([discriminator_loss(judge, x, c[4]) for c in children[:2]]).mean().backward()
        judges.step()

    for row, found in enumerate(alone(model.generator)):
        for p, q in zip(found.parameters(), parents[row // 3].parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-11)
    for p, q in zip(model.discriminator.parameters(), judge.discriminator.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-11)
    assert model.wins.tolist() == [winners.count(name) for name in NAMES]
    assert len({*winners}) > 1, "a test in which one mutation always wins shows too little"


def test_every_round_takes_the_steps_asked_for() -> None:
    settings = TrainConfig(rounds=3, batch_size=8, optim={}, sample_every=0)
    trainer = Trainer(
        EGAN(replace(CONFIG, discriminator_steps=4), SPEC), Dataset(x=torch.randn(20, 2), spec=SPEC), settings
    )
    trainer.fit()
    assert (trainer.players["generator"].steps, trainer.players["discriminator"].steps) == (3, 12)


def test_children_can_be_judged_by_several_batches() -> None:
    """Fitness is of all their examples; every step of the discriminator is then on a batch of its own."""
    seen: dict[str, list[object]] = {"judged": [], "trained": []}

    class Watched(EGAN):
        def evaluation(self, batch: Batch, z: Tensor) -> Loss:
            seen["judged"].append((len(batch), len(z)))
            return super().evaluation(batch, z)

        def discriminator_loss(self, batch: Batch, z: Tensor, u: Tensor, figures: Metrics) -> Loss:
            seen["trained"].append(len(batch))
            return super().discriminator_loss(batch, z, u, figures)

    config = replace(CONFIG, fitness_batches=3, discriminator_steps=2)
    settings = TrainConfig(rounds=1, batch_size=8, optim={}, sample_every=0)
    play = Trainer(Watched(config, SPEC), Dataset(x=torch.randn(20, 2), spec=SPEC), settings)
    (done,) = [event for event in play if isinstance(event, RoundDone)]
    assert seen == {"judged": [(24, 24)], "trained": [8, 8]}
    assert {"fitness", "quality", "diversity", "minimax won"} <= done.metrics.keys()


def test_samples_are_the_fittest_survivors() -> None:
    model = scrambled(EGAN(CONFIG, SPEC))
    z = model.prior(5, seed=1)
    torch.testing.assert_close(model.sample(5, seed=1), alone(model.generator)[0](z))
    model.wins.copy_(torch.tensor([3, 1, 0]))
    assert [v.item() for v in model.diagnose(torch.zeros(1, 2)).values()] == [0.75, 0.25, 0.0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mutations": ()}, "1 or more, all different"),
        ({"mutations": ("minimax", "minimax")}, "1 or more, all different"),
        ({"mutations": ("maximax",)}, "'maximax' is none of minimax, non-saturating"),
        ({"parents": 0}, "parents is 0; it counts from 1"),
        ({"fitness_batches": 0}, "it counts from 1"),
        ({"discriminator_steps": 0}, "it counts from 1"),
    ],
)
def test_mistakes_are_told(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(CONFIG, **change)  # type: ignore[arg-type]


def test_a_label_by_batch_normalisation_is_refused_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="concatenate"):
        EGAN(replace(CONFIG, network=DCGANConfig(width=4), conditioning="project"), IMAGE)
