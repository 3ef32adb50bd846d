"""Settings: how a model is trained, the recipe that holds all there are, and their exact form in JSON."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pprint import pformat
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from genwerk.core.component import Component
from genwerk.core.errors import NOUGHT, ONE, RATE, SEEDS, TWO, BadInput, check_ranges
from genwerk.core.marks import Common
from genwerk.core.model import Config, Model
from genwerk.core.near import meant
from genwerk.core.spec import DataSpec
from genwerk.data.settings import DataConfig
from genwerk.training.protocol import EvaluateConfig


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """One player's optimiser."""

    name: Literal["adam", "adamw", "adamax", "sgd", "rmsprop", "adagrad"] = "adam"
    """Which torch.optim algorithm."""
    lr: float = 1e-3
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of Adam's two running means per step (the second is RMSProp's alpha)."""
    eps: float = 1e-8
    """Adam's and RMSProp's term against division by zero."""
    momentum: float = 0.0
    """Momentum of sgd and rmsprop."""
    weight_decay: float = 0.0
    """Weight decay per step, times the learning rate."""
    decay: Literal["all", "matrices"] = "all"
    """What decays: all weights, or those of two dimensions and more (no gain, bias or scale)."""
    clip_norm: float | None = None
    """Greatest norm of the player's whole gradient; None does not clip."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """Learning rate over a stage's rounds: constant, or down to `final` along a half cosine or a line."""
    final: float = 0.0
    """Learning rate at the end of a falling schedule, as a fraction of `lr`."""
    hold: float = 0.0
    """Fraction of the rounds after which a falling schedule begins to fall; before, the learning rate is `lr`."""
    warmup: int = 0
    """Rounds over which the learning rate first rises from zero."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "",
            lr=RATE,
            betas=(0, 1),
            eps=RATE,
            momentum=(0, 1),
            weight_decay=RATE,
            clip_norm=NOUGHT,
            final=NOUGHT,
            hold=(0, 1),
            warmup=NOUGHT,
        )


@dataclass(frozen=True, kw_only=True)
class WatchdogConfig:
    """How a game is watched for collapse, and what is done about it."""

    action: Literal["rollback", "stop", "warn", "off"] = "rollback"
    """Go back to the best checkpoint and on from there (where there is none yet, only warn), stop, only warn, or do not
    look at all. A loss or weight that is not finite ends training unless it can be rolled back."""
    retries: int = 3
    """Rollbacks in one training, after which it stops."""
    lr_factor: float = 0.5
    """Factor on every learning rate, once for each rollback."""
    every: int = 250
    """Rounds between looks at a game; 0 never looks."""
    samples: int = 256
    """Samples, and training examples to compare them with, in a look."""
    warmup_rounds: int = 5000
    """Rounds of a stage after which a generator that has never made different things counts as collapsed."""
    patience: int = 3
    """Successive looks, or held-out evaluations, that must agree."""
    min_diversity: float = 0.1
    """Mean distance between two samples, as a fraction of that between two training examples, below which the generator
    makes one and the same."""
    max_discriminator_accuracy: float = 0.999
    """Accuracy from which the discriminator has won, if no other player learns or samples are nowhere near the data."""
    vanishing: float = 1e-5
    """Norm of the gradient below which a player no longer learns."""
    max_metric_ratio: float = 10.0
    """Multiple of the best held-out figure beyond which a model whose samples are nowhere near the data is lost."""

    def __post_init__(self) -> None:
        some = dict.fromkeys(
            (
                "retries",
                "every",
                "warmup_rounds",
                "min_diversity",
                "max_discriminator_accuracy",
                "vanishing",
                "max_metric_ratio",
            ),
            NOUGHT,
        )
        check_ranges(self, "train.watchdog", lr_factor=(1e-9, 1), **some, samples=TWO, patience=ONE)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained."""

    rounds: Annotated[int, Common()] = 10_000
    """Length in rounds of the algorithm (for most families a round is one step). Of a model trained in stages, it is
    the length of every stage that has no setting of its own, such as `prior_rounds`; the plan is shown before training
    begins."""
    batch_size: Annotated[int, Common()] = 128
    """Examples per batch, over all processes; 0 is all examples at once."""
    micro_batch: int | None = None
    """Examples sent through the network at once on one process; None is the whole batch."""
    optim: dict[str, OptimConfig] = field(default_factory=lambda: {"model": OptimConfig()})
    """Optimiser by player."""
    ema: dict[str, float] = field(default_factory=dict)
    """Half-life in examples of a player's averaged weights, by player; players not named keep none."""
    ema_warmup: bool = True
    """Whether averaged weights follow more closely in the first steps, so that early samples are not of random ones."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic inside the networks (bfloat16 by autocast)."""
    compile: bool = False
    """Whether to compile the networks with torch.compile (slow to start, then faster)."""
    log_every: int = 100
    """Rounds between lines of the event log; 0 writes none for rounds."""
    sample_every: int = 1000
    """Rounds between sample pictures, the first of each stage after a tenth of it at the latest; 0 makes them only at
    the end."""
    evaluate_every: int | None = None
    """Rounds between evaluations on validation examples, which choose the weights; 0 evaluates only at the end. None
    evaluates a stage 40 times (10 times by samples), not more often than every 20 rounds, and more rarely where that
    would take long beside training."""
    patience: int = 10
    """Evaluations without a better figure after which a stage ends; 0 never ends one. Figures of samples, and those
    of games, never end one, for they are a matter of luck."""
    save_every: int = 1000
    """Rounds between checkpoints; 0 saves only at the end."""
    keep: int = 2
    """Newest checkpoints to keep, beside the chosen one."""
    watchdog: WatchdogConfig = field(default_factory=WatchdogConfig)
    """How collapse is noticed, and what is done about it."""
    seed: Annotated[int, Common()] = 0
    """Seed of weights, order and noise."""

    def __post_init__(self) -> None:
        some = dict.fromkeys(("batch_size", "log_every", "sample_every", "evaluate_every", "save_every"), NOUGHT)
        check_ranges(self, "train", **some, patience=NOUGHT, rounds=ONE, micro_batch=ONE, keep=ONE, seed=SEEDS)
        for player, half_life in self.ema.items():
            if not 0 < half_life < math.inf:
                raise BadInput(f"train.ema.{player} is {half_life}; expected a half-life in examples, above 0")


@dataclass(frozen=True, kw_only=True, repr=False)
class Recipe:
    """A complete setting: all that is needed to train again."""

    model: Config
    """The family and its settings."""
    data: DataConfig = field(default_factory=DataConfig)
    """The data and how they are read."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """How it is measured at the end."""

    def __repr__(self) -> str:
        parts = []
        for f in dataclasses.fields(self):
            shown = pformat(getattr(self, f.name), width=110, sort_dicts=False)
            parts.append(f"    {f.name}=" + shown.replace("\n", "\n" + " " * (len(f.name) + 5)))
        return "Recipe(\n" + ",\n".join(parts) + "\n)"


RecipeFunction = Callable[[DataSpec], Recipe]


@dataclass(frozen=True)
class Entry:
    """A registered recipe: its function, and the data it is made for when none are named."""

    name: str
    make: RecipeFunction
    spec: DataSpec
    reference: bool = False
    """Whether it is made for one data set, to reach or repeat published figures, and not for any data."""

    @property
    def summary(self) -> str:
        """First line of the recipe's docstring."""
        return (self.make.__doc__ or "").strip().split("\n")[0]


REGISTRY: dict[str, Entry] = {}

DIGITS = DataSpec(kind="image", shape=(1, 8, 8), levels=17, classes=tuple("0123456789"))
"""The built-in data that a recipe is shown with when no other are named."""


def register(spec: DataSpec = DIGITS, *, reference: bool = False) -> Callable[[RecipeFunction], RecipeFunction]:
    """Make a function from a DataSpec to a Recipe known by its name (underscores become dashes).

    A ``reference`` is made for one data set, to reach or repeat published figures.
    """

    def add(make: RecipeFunction) -> RecipeFunction:
        name = make.__name__.replace("_", "-")
        if name in REGISTRY and REGISTRY[name].make.__module__ != make.__module__:
            raise TypeError(f"{name!r} is a recipe of {REGISTRY[name].make.__module__} already; name yours otherwise")
        REGISTRY[name] = Entry(name, make, spec, reference)
        return make

    return add


# --- JSON -----------------------------------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """Plain JSON of a settings object; ``$type`` is a family's config's class name, or the kind of a component."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tag = {"$type": type(value).__name__} if isinstance(value, Config) else {}
        tag = {"$type": value.kind} if isinstance(value, Component) else tag
        return tag | {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    return value


CALLED = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
"""What values of a type are called."""


def from_json(kind: Any, value: Any, where: str = "settings") -> Any:
    """The object of type ``kind`` that ``value`` describes; anything unexpected is a ValueError that says where."""

    def wrong(expected: str) -> BadInput:
        return BadInput(f"{where} is {str(value)[:60]!r}; expected {expected}")

    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise wrong("an object")
        value = dict(value)
        if isinstance(kind, type) and issubclass(kind, Config):
            tag = value.pop("$type", None)
            if not isinstance(tag, str) or tag not in Model.registry:
                raise BadInput(f"{where} names the family {tag!r}, which this version of Genwerk does not have")
            found = Model.registry[tag][0]
            if not issubclass(found, kind):
                raise BadInput(f"{where} names the family {tag!r}; expected a {kind.__name__}")
            kind = found
        elif isinstance(kind, type) and issubclass(kind, Component):
            tag = value.pop("$type", None)
            if not isinstance(tag, str) or tag not in kind.kinds:
                near = meant(str(tag), kind.kinds)
                raise BadInput(f"{where} is of the kind {tag!r}; expected one of {', '.join(kind.kinds)}{near}")
            kind = kind.kinds[tag]
        hints = get_type_hints(kind)
        if unknown := sorted(value.keys() - hints.keys()):
            raise BadInput(f"{where} has the unknown field {unknown[0]!r}{meant(unknown[0], hints)}")
        required = {
            f.name
            for f in dataclasses.fields(kind)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        if missing := sorted(required - value.keys()):
            raise BadInput(f"{where} lacks the field {missing[0]!r}")
        return kind(**{k: from_json(hints[k], v, f"{where}.{k}") for k, v in value.items()})
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        options = [a for a in args if a is not type(None)]
        for option in options[:-1]:
            try:
                return from_json(option, value, where)
            except BadInput:
                continue
        return from_json(options[-1], value, where)
    if origin is typing.Annotated:
        return from_json(args[0], value, where)
    if origin is Literal:
        if not any(type(a) is type(value) and a == value for a in args):
            raise wrong("one of " + ", ".join(map(str, args)) + meant(str(value), map(str, args)))
        return value
    if origin is tuple:
        if not isinstance(value, list) or (args[-1] is not Ellipsis and len(value) != len(args)):
            raise wrong("a list" if args[-1] is Ellipsis else f"a list of {len(args)}")
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(from_json(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise wrong("an object")
        return {str(k): from_json(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1000:
        return float(value)
    if kind in (int, float, str, bool) and type(value) is kind:
        return value
    raise wrong(CALLED.get(kind, str(kind)))
