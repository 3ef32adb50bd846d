"""The game: players, turns and stages, from which every training algorithm is written."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registration

from genwerk.core.condition import Condition, NoCondition
from genwerk.core.errors import BadFile, check_finite
from genwerk.core.noise import Noise
from genwerk.core.options import Plain, SamplingOptions
from genwerk.core.spec import Batch, DataSpec

if TYPE_CHECKING:
    from genwerk.data.dataset import Dataset

Metrics = dict[str, Tensor]
"""Named figures of a turn: scalars are shown and logged, larger tensors are statistics for the model itself."""

Loss = tuple[Tensor, Metrics]
"""A scalar to descend, averaged over the examples, and what to report beside it (averaged likewise)."""


Rows = Tensor | Batch | None
"""Data with one row an example; None where there are none."""


class Turn:
    """One player's move: ``loss(*rows, **whole)`` is descended by ``player``'s optimiser.

    ``rows`` are tensors and batches with one row an example, all of the same length, which micro-batches cut; one that
    this turn does not have is None. ``whole`` is what the loss needs besides, passed on as it is. A ``player`` of None
    only reports: no gradient, no step, nobody frozen.

    A loss that couples the examples of a batch (a contrast, say) gives ``features``, which takes each by itself:
    ``loss(*features(*rows, **whole))`` is descended, with the rows of all micro-batches and processes before the one
    ``loss``. What couples them otherwise is declared by :attr:`Model.couples`.
    """

    __slots__ = ("features", "loss", "player", "rows", "whole")

    def __init__(
        self,
        player: str | None,
        loss: Callable[..., Loss],
        /,
        *rows: Rows,
        features: Callable[..., Sequence[Tensor]] | None = None,
        **whole: Any,
    ) -> None:
        self.player, self.loss, self.rows, self.features, self.whole = player, loss, rows, features, whole


Turns = Generator[Turn, Metrics, None]
"""One round of an algorithm. The value of each ``yield`` is that turn's metrics, averaged over micro-batches and ranks,
after the player's step."""


class TrainingStream(Noise, Protocol):
    """The training stream: its next batch, and noise for that batch's examples."""

    batch_size: int
    """Examples of a batch, over all processes."""

    def next_batch(self) -> Batch:
        """The next ``batch_size`` examples, or this process's part of them."""
        ...


class Player(Protocol):
    """A module with its optimiser, as ``turns`` may use it."""

    module: nn.Module
    steps: int
    """Optimiser steps taken so far."""
    rate: float
    """Factor on the learning rate, 1 unless ``turns`` sets it (from a buffer, for it is not stored)."""

    def snapshot(self) -> Any:
        """Copy of weights, buffers and optimiser state."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Put a snapshot back."""
        ...


@dataclass(frozen=True)
class Stage:
    """A part of training with its own algorithm: ``turns`` is played ``rounds`` times.

    ``data`` turns the training data into what this stage draws from (codes of an autoencoder, for example); it is
    called once when the stage begins, and again on resume, so it must depend on the model's state and its input alone.
    ``batch_size`` None takes the run's; 0 draws all examples at once. Where a stage ``continues`` the one before,
    learning rates follow one schedule over both. Optimisers of the players in ``fresh`` forget, when the stage begins,
    the gradients of other objectives. ``converged`` is asked after each round: True ends the stage early.

    A stage is judged by held-out figures of the ``part`` of the model that it trains (None: the whole), on held-out
    data as that part ``sees`` them (None: as they are), which changes nothing in the model. ``judged`` is False where
    the algorithm chooses by itself, or no figure says how good that part is: such a stage counts by its end.
    """

    name: str
    rounds: int
    turns: Callable[[TrainingStream, Mapping[str, Player]], Turns]
    data: Callable[[Dataset], Dataset] | None = None
    batch_size: int | None = None
    continues: bool = False
    fresh: Sequence[str] = ()
    part: Model | None = None
    sees: Callable[[Dataset], Dataset] | None = None
    judged: bool = True
    converged: Callable[[], bool] | None = None


def schedule(stages: Sequence[Stage], index: int) -> tuple[int, int]:
    """Rounds before stage ``index`` in the learning rate's schedule that it belongs to, and of all that schedule."""
    first = max(i for i in range(index + 1) if i == 0 or not stages[i].continues)
    end = next((i for i in range(index + 1, len(stages)) if not stages[i].continues), len(stages))
    return sum(s.rounds for s in stages[first:index]), sum(s.rounds for s in stages[first:end])


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of every family's settings: plain JSON values, every field with its unit."""


class Model(nn.Module, ABC):
    """A generative model of data described by ``spec``, set up by ``config``.

    A family is a subclass ``class VAE(Model, Samples, ..., config=VAEConfig)``; naming its config class registers it,
    so that a run folder can name it.
    """

    config: Any
    spec: DataSpec
    recipe: str = ""
    """Name of the recipe that it was trained by; empty where it was built from its config alone."""
    options: SamplingOptions = Plain()
    """What may be asked when it samples or completes, with its own defaults."""
    condition: Condition = NoCondition()
    """What the model is conditioned on."""
    registry: ClassVar[dict[str, tuple[type[Config], type[Model]]]] = {}
    """Config class and model class by the config's name: all that a stored run may name."""

    def __init_subclass__(cls, *, config: type[Config] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if config is not None:
            taken = Model.registry.get(config.__name__, (config,))[0]
            if taken.__module__ != config.__module__:
                raise TypeError(f"{config.__name__} is a class of {taken.__module__} already; name yours otherwise")
            Model.registry[config.__name__] = (config, cls)

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.config, self.spec = config, spec

    @property
    def couples(self) -> Sequence[str]:
        """What, beside batch normalisation, makes the loss of an example depend on the others it is computed with.

        Micro-batches and processes change what these see, and the trainer says so. ``features`` of a turn do not count.
        """
        return ()

    @property
    def batches(self) -> int:
        """Batches of training examples that a round of the first stage draws, as a rule (a warm-up may draw more)."""
        return 1

    def players(self) -> Mapping[str, nn.Module]:
        """Who has an optimiser, by name."""
        return {"model": self}

    def loss(self, batch: Batch) -> Loss:
        """The objective on one batch, for families whose algorithm is to descend one."""
        raise NotImplementedError(f"{type(self).__name__} defines neither loss() nor turns()")

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """One round of the training algorithm."""
        yield Turn("model", self.loss, stream.next_batch())

    def stages(self, rounds: int) -> Sequence[Stage]:
        """The parts of training; ``rounds`` is the length asked for in the settings."""
        return [Stage("train", rounds, self.turns)]

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next((t.device for t in chain(self.parameters(), self.buffers())), torch.device("cpu"))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """``module`` in evaluation mode and without gradients; its mode is as before afterwards."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)


def family(config: Config) -> type[Model]:
    """The class of the models that ``config`` describes."""
    if type(config).__name__ not in Model.registry:
        raise ValueError(f"{type(config).__name__} belongs to no registered family")
    return Model.registry[type(config).__name__][1]


def build(config: Config, spec: DataSpec) -> Model:
    """The model that ``config`` describes, with fresh weights, for data of ``spec``."""
    check_finite(config, "model")
    return family(config)(config, spec)


def weightless(config: Config, spec: DataSpec) -> Model:
    """The model that ``config`` describes without its weights, on the device "meta": what it is and can do."""
    with torch.device("meta"):
        return build(config, spec)


def stages(config: Config, spec: DataSpec, rounds: int) -> Sequence[Stage]:
    """The parts of training the model that ``config`` describes, none of which can be played."""
    return weightless(config, spec).stages(rounds)


SPARE_MODULES, SPARE_VALUES = 2000, 2**28
"""Parts, and numbers, that a model may have beyond what its file tells of (masks and tables are not stored)."""


@contextmanager
def growing(look: Callable[[int, int], None]) -> Iterator[None]:
    """While inside, ``look`` is told how many parts and numbers the models have that are built, as each is added."""
    modules = values = 0

    def count(_: Any, __: str, new: Any) -> None:
        nonlocal modules, values
        if isinstance(new, Tensor):
            values += new.numel()
        modules += 1
        look(modules, values)

    with ExitStack() as hooks:
        for register in (
            registration.register_module_module_registration_hook,
            registration.register_module_parameter_registration_hook,
            registration.register_module_buffer_registration_hook,
        ):
            hooks.callback(register(count).remove)
        yield


def build_within(config: Config, spec: DataSpec, shapes: Iterable[tuple[int, ...]], where: str) -> Model:
    """:func:`build`, given up as soon as the model outgrows a file of tensors with these ``shapes``.

    A BadFile names ``where`` the settings stand if they describe a larger model, or none. On the device "meta" nothing
    is allocated on the way.
    """
    held = [torch.Size(shape) for shape in shapes]
    most_modules, most_values = SPARE_MODULES + 20 * len(held), SPARE_VALUES + 4 * sum(s.numel() for s in held)

    def fits(modules: int, values: int) -> None:
        if modules > most_modules or values > most_values:
            raise BadFile(f"{where} describes a larger model than the weights beside it are of")

    with growing(fits):
        try:
            return build(config, spec)
        except BadFile:
            raise
        except Exception as error:  # whatever numbers that fit no network make of it
            raise BadFile(f"{where} describes no model that can be built ({type(error).__name__}: {error})") from error
