"""How well examples are brought to another domain: whether they arrive, whether they stay what they are, and whether
anything happened.

Nobody knows what an example should become, so that no figure tells all: a model that returns its source keeps all of
it, and one that makes the same image of every source arrives. Each figure stands beside that of the source as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import hypot, nan

import torch
from torch import Tensor

from genwerk.core.abilities import TranslatesDomains
from genwerk.core.attributes import KEPT, Attributes
from genwerk.core.batching import batches
from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.core.noise import Seeds
from genwerk.data.dataset import Dataset, Splits
from genwerk.evaluation import distances, verdicts
from genwerk.evaluation.extractor import classifying
from genwerk.evaluation.quick import FEWEST
from genwerk.evaluation.reference import Steps
from genwerk.evaluation.report import Figure, number
from genwerk.evaluation.samples import Pace, features_of, pace
from genwerk.metrics import kernel_distance
from genwerk.metrics.efficientnet import efficientnet
from genwerk.metrics.features import Classifier, Extractor
from genwerk.metrics.kid import KernelDistance
from genwerk.metrics.spread import of_mean
from genwerk.training.protocol import EvaluateConfig

RIVALS = 100
"""Other sources than its own that a translation is compared with."""
RECOGNISED = 300
"""Translations at most that are compared with these, for a network for photos looks at each."""
SAME = 2 / 255
"""Difference below which a pixel is unchanged."""
RETURNED = 0.95
"""Share of unchanged pixels above which a translation that has not arrived is its source."""
SUBSETS = 25
"""Subsets that the kernel distances beside that of translations take."""


@dataclass
class DomainFigures:
    """The figures of ``model`` on held-out ``data``, which are under its condition."""

    model: Model
    splits: Splits
    data: Dataset
    settings: EvaluateConfig
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _classifiers: list[Classifier] = field(default_factory=list)

    # --- where examples go --------------------------------------------------------------------------------------------

    @cached_property
    def own(self) -> Tensor:
        """The value of every attribute that each example has, int64 with shape (n, k); a label is one attribute."""
        values = self.data.conditions(slice(None))
        assert values is not None
        return values.cpu().reshape(len(values), -1)

    @cached_property
    def aims(self) -> Tensor:
        """The values that it is to have, in place of :data:`KEPT` its own."""
        assert isinstance(self.model, TranslatesDomains)
        values = self.data.conditions(slice(None))
        assert values is not None
        aim = self.model.aims(values, seed=self.settings.seed).cpu().reshape(len(values), -1)
        return torch.where(aim == KEPT, self.own, aim)

    @cached_property
    def rows(self) -> Tensor:
        """The examples that can go somewhere, in random order."""
        order = self.data.order(self.settings.seed)
        return order[(self.aims != self.own).any(1)[order]]

    @cached_property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """What the values of each attribute are called."""
        condition = self.model.condition
        return condition.values if isinstance(condition, Attributes) else (condition.choices,)

    def asked(self, aims: Tensor, own: Tensor) -> Tensor:
        """The condition that asks for ``aims`` of examples that have ``own`` values: what is the same is kept."""
        if not isinstance(self.model.condition, Attributes):
            return aims[:, 0]
        return torch.where(aims == own, KEPT, aims)

    # --- what is found -----------------------------------------------------------------------------------------------

    def preparing(self) -> Steps:
        """Train a classifier of each attribute on real examples, or find it where it was trained before."""
        train, condition = self.splits.train.under(self.model.condition), self.model.condition
        for column, names in enumerate(self.names):
            if isinstance(condition, Attributes):
                assert train.condition is not None
                spec = replace(train.spec, classes=names, attributes=())
                labelled = replace(train, condition=train.condition[:, column], attributes=None, spec=spec)
            else:
                labelled = train
            self._classifiers.append((yield from classifying(labelled, labelled=True)))

    def translating(self, extractor: Extractor | None) -> Steps:
        """Translate, and find all figures; those in features only where there is an ``extractor``."""
        if not len(self.rows):
            self.notes.append("No figures of translations: no held-out example can go to another domain.")
            return
        wanted = min(len(self.rows), self.settings.samples or len(self.rows))
        speed = pace(lambda n: self._made(self.rows[:n], 0), wanted, self.settings.minutes)
        if not speed.rows:
            self.notes.append("No figures of translations: a single one would take longer than allowed.")
            return
        rows, parts = self.rows[: speed.rows], list[Translated]()
        cut = f" (of {wanted:,}, which would take {speed.minutes} minutes)" if len(rows) < wanted else ""
        recogniser = None if extractor is None else recognising(extractor, self.model.device)
        yield 0, len(rows)
        for part in self._parts(rows, speed, extractor, recogniser):
            parts.append(part)
            yield sum(len(each.unchanged) for each in parts), len(rows)
        found, note = Translated.joined(parts), f"{len(rows):,} held-out{cut}"
        arrived = ""
        if extractor is not None and recogniser is not None:
            self.figures.append(agreement := self._agreement(rows, found, note))
            arrived = agreement.verdict
            self._distance(rows, found, extractor)
            self.figures.append(self._identity(found, recogniser))
        self.figures += self._changes(found, note, arrived)

    def _made(self, rows: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """The examples of ``rows``, the first of which is number ``first`` of the seed, and what is made of them."""
        assert isinstance(self.model, TranslatesDomains)
        x = self.data.batch(rows.to(self.data.device)).x.to(self.model.device)
        asked = self.asked(self.aims[rows], self.own[rows]).to(self.model.device)
        return x, self.model.translate(x, asked, seed=Seeds(self.settings.seed, first))

    def _parts(
        self, rows: Tensor, speed: Pace, extractor: Extractor | None, recogniser: Extractor | None
    ) -> Iterator[Translated]:
        model = self.model
        assert isinstance(model, TranslatesDomains)

        def part(some: slice) -> Translated:
            own, aims = self.own[rows[some]], self.aims[rows[some]]
            x, made = self._made(rows[some], some.start)
            error, leads = torch.full((len(x),), nan, dtype=torch.float64), self._leads_back(aims)
            if leads.any():  # what has no way back is asked to stay as it is
                asked = self.asked(own.where(leads[:, None], aims), aims).to(x.device)
                back = model.translate(made, asked, seed=Seeds(self.settings.seed, some.start))
                error = (back - x).abs().flatten(1).mean(1).cpu().double().where(leads, nan)
            shown, described = made.cpu(), extractor or (lambda x: x[:, :0])
            seen, sources = (each[: max(0, RECOGNISED - some.start)].cpu() for each in (made, x))
            told = recogniser or (lambda x: x.flatten(1)[:, :0])
            return Translated(
                unchanged=((made - x).abs().amax(1) < SAME).double().flatten(1).mean(1).cpu(),
                cycle=error,
                classes=self._classes(shown),
                features=described(shown),
                seen=told(seen) if len(seen) else torch.empty(0),  # as many as are recognised have been seen
                sources=told(sources) if len(sources) else torch.empty(0),
            )

        return batches(part, len(rows), model.device, most=speed.most)

    def _leads_back(self, aims: Tensor) -> Tensor:
        """Whether an example of each domain can go anywhere, boolean with shape (n,)."""
        assert isinstance(self.model, TranslatesDomains)
        several = isinstance(self.model.condition, Attributes)
        further = self.model.aims((aims if several else aims[:, 0]).to(self.model.device), seed=self.settings.seed)
        further = further.cpu().reshape(aims.shape)
        return ((further != aims) & (further != KEPT)).any(1)

    def _classes(self, x: Tensor) -> Tensor:
        """The likeliest value of each attribute with shape (n, k), by the classifiers there are."""
        found = [classifier(x.cpu()).argmax(1) for classifier in self._classifiers]
        return torch.stack(found, 1) if found else torch.empty(len(x), 0)

    # --- figures ------------------------------------------------------------------------------------------------------

    def _agreement(self, rows: Tensor, found: Translated, note: str) -> Figure:
        """The share of translations that are what they are to be, to a classifier trained on real examples."""
        own, aims = self.own[rows], self.aims[rows]
        real = torch.cat([self._classes(x) for x in self.data.parts()])
        changed, right, known = aims != own, real == self.own, torch.ones(len(rows), dtype=torch.float64)
        for column, names in enumerate(self.names):
            share = [right[self.own[:, column] == value, column].double().mean() for value in range(len(names))]
            known *= torch.where(changed[:, column], torch.stack(share)[aims[:, column]], 1.0)
        arrived, before = (((classes == aims) | ~changed).all(1).double() for classes in (found.classes, real[rows]))
        known = known[known.isfinite()]
        floor = known.mean().item() if len(known) else None
        doubtful = floor is None or verdicts.weak(floor, 1 / max(map(len, self.names)))
        doubt = "; means little: its classifier is right for less than half of real examples" if doubtful else ""
        of = " and ".join(f"{len(names)} {'values' if len(self.names) > 1 else 'domains'}" for names in self.names)
        copy, value = before.mean().item(), arrived.mean().item()
        return Figure(
            name="domain agreement",
            value=value,
            spread=of_mean(arrived),
            floor=floor,
            reference=copy,
            note=f"{note}, to a classifier of {of}; the source: {number(copy)}{doubt}",
            verdict="" if floor is None or doubt else verdicts.arrived(value, of_mean(arrived - before), copy, floor),
        )

    def _distance(self, rows: Tensor, found: Translated, extractor: Extractor) -> None:
        """The kernel distance of translations from real examples of their domain, a mean over domains."""
        own, aims, name = self.own[rows], self.aims[rows], f"translation {distances.names(extractor)[1]}"
        column = (aims != own).int().argmax(1)  # of several attributes the first that changes
        value = aims.gather(1, column[:, None])[:, 0]
        real, seed, each = torch.cat(list(features_of(extractor, self.data))), self.settings.seed, list[Domain]()
        for j, k in torch.stack([column, value], 1).unique(dim=0).tolist():
            there, of = (column == j) & (value == k), real[self.own[:, j] == k]
            if min(int(there.sum()), len(of)) < 2 * FEWEST:
                continue
            halves = of[torch.randperm(len(of), generator=torch.Generator().manual_seed(seed))].chunk(2)
            each.append(
                Domain(
                    int(there.sum()),
                    kernel_distance(found.features[there], of, seed=seed),
                    kernel_distance(real[rows[there]], of, subsets=SUBSETS, seed=seed),
                    kernel_distance(*halves, subsets=SUBSETS, seed=seed).mean,
                )
            )
        if not each:
            self.notes.append(f"No {name}: it needs {2 * FEWEST} translations and real examples of a domain or more.")
            return
        weight = torch.tensor([domain.n for domain in each], dtype=torch.float64)
        weight = weight / weight.sum()
        made, copy = (
            torch.tensor([[d.mean, d.standard_error] for d in of], dtype=torch.float64)
            for of in ([domain.made for domain in each], [domain.copy for domain in each])
        )
        (value_of, copy_of), (error, beside) = (
            [float(weight @ d[:, 0]) for d in (made, copy)],
            [float((weight * d[:, 1]).norm()) for d in (made, copy)],
        )
        doubt = distances.doubt(extractor)
        self.figures.append(
            Figure(
                name=name,
                value=value_of,
                spread=error,
                floor=float(weight @ torch.tensor([domain.floor for domain in each], dtype=torch.float64)),
                reference=copy_of,
                note=f"mean over {len(each)} domains, {len(rows):,} translations and {len(real):,} held-out in all, in "
                f"features of {extractor.name}; the source: {number(copy_of)}{doubt}",
                verdict="" if doubt else verdicts.TRANSLATED.of(copy_of - value_of, hypot(error, beside)),
            )
        )

    def _identity(self, found: Translated, recogniser: Extractor) -> Figure:
        """The share of translations that are nearer to their own source than to each of others."""
        n = len(found.seen)
        apart = torch.cdist(found.seen, found.sources)
        rivals = min(RIVALS, n - 1)
        others = (torch.arange(n)[:, None] + torch.arange(1, rivals + 1)) % n  # rows are in random order
        doubt = distances.doubt(recogniser)
        kept = (apart.diag()[:, None] <= apart.gather(1, others)).all(1).double()
        return Figure(
            name="identity kept",
            value=kept.mean().item(),
            spread=of_mean(kept) if n > 1 else None,
            noise=1 / (rivals + 1),
            reference=1.0,
            note=f"{n:,} held-out, each beside {rivals} other sources, in features of {recogniser.name}; the source: 1"
            + doubt,
            verdict="" if doubt else verdicts.on(verdicts.KEPT, kept.mean().item()),
        )

    def _changes(self, found: Translated, note: str, arrived: str) -> Iterator[Figure]:
        """How much changes, on the way there and on that back."""
        unchanged = found.unchanged.mean().item()
        returned = unchanged > RETURNED and arrived in ("", verdicts.NOWHERE)
        yield Figure(
            name="unchanged pixels",
            value=unchanged,
            spread=of_mean(found.unchanged) if len(found.unchanged) > 1 else None,
            reference=1.0,
            note=f"{note}; those that differ by less than 2 of 255; the source: 1",
            verdict="returns its source" if returned else "",
        )
        back = found.cycle[found.cycle.isfinite()]
        if len(back):
            yield Figure(
                name="cycle error",
                value=back.mean().item(),
                spread=of_mean(back) if len(back) > 1 else None,
                reference=0.0,
                note=f"{len(back):,} held-out, mean absolute error there and back, of pixels in [0, 1]; the source: 0",
            )


@dataclass(frozen=True)
class Domain:
    """Translations to one domain."""

    n: int
    """How many there are."""
    made: KernelDistance
    """Between them and real examples of it."""
    copy: KernelDistance
    """Between their sources and these."""
    floor: float
    """Between two halves of these."""


@dataclass(frozen=True)
class Translated:
    """What is found of some translations, a row each."""

    unchanged: Tensor
    """Share of unchanged pixels with shape (n,)."""
    cycle: Tensor
    """Mean absolute error of what is translated back with shape (n,); NaN where there is no way back."""
    classes: Tensor
    """The likeliest value of each attribute with shape (n, k); of none without classifiers."""
    features: Tensor
    """In which domains are compared, with shape (n, d)."""
    seen: Tensor
    """In which sources are recognised, of the first :data:`RECOGNISED` translations."""
    sources: Tensor
    """The same of their sources."""

    @classmethod
    def joined(cls, parts: Sequence[Translated]) -> Translated:
        """All ``parts``, one after the other."""
        return cls(*(torch.cat([getattr(part, each.name) for part in parts]) for each in fields(cls)))


def recognising(extractor: Extractor, device: torch.device) -> Extractor:
    """What recognises a source: a network for photos that training never saw, where it is installed, else
    ``extractor``."""
    try:
        return efficientnet(device)
    except BadInput:
        return extractor
