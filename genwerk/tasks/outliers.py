"""Out-of-distribution scores: how unusual an example is under a density, among held-out examples of the model's kind.

C. M. Bishop: Novelty detection and neural network validation, 1994 (likelihood).
E. Nalisnick, A. Matsukawa, Y. W. Teh, B. Lakshminarayanan: Detecting out-of-distribution inputs to deep generative
models using typicality, 2019, arXiv:1906.02994.
V. Vovk, A. Gammerman, G. Shafer: Algorithmic learning in a random world, 2005 (conformal p-values).

Likelihood fails for images, and is known to (E. Nalisnick et al., Do deep generative models know what they don't know?,
2019, arXiv:1810.09136): flows, VAEs and PixelCNNs trained on CIFAR-10 find the house numbers of SVHN likelier than test
images of CIFAR-10 itself, and so with other smooth images, whose few details cost few nats. A low likelihood is a sign,
a high one no reassurance. Typicality asks instead whether the log-likelihood is what it usually is, for in high
dimension the typical set of a density lies away from its mode. So it catches what is too likely as well; but two kinds
of data of the same log-likelihood are one to it, too.

Done differently: the paper tests batches against the entropy over the training set; here every example is tested by
itself, against held-out examples alone, of which the model is not surer than it should be, and by rank, not bootstrap.
The usual log-likelihood is then the mean over the reference and the example itself, so that none of them is a stranger
to it: by the mean of the reference alone, a tenth of 9 and one more would be a seventh.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genwerk.core.abilities import BoundsLikelihood, HasLikelihood, abilities
from genwerk.core.batching import batches
from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.core.noise import Seed, Seeds
from genwerk.core.spec import Batch, Prior
from genwerk.tasks import require
from genwerk.tasks.classification import log_prior
from genwerk.tasks.conditioning import conditions
from genwerk.tasks.inputs import Examples, batch_of, data_of


@dataclass(frozen=True)
class Outliers:
    """How unusual n examples are among m reference examples, by two scores.

    A rank p-value is the share of reference examples, the example itself counted with them, that are no less unusual:
    at least 1 / (m + 1), and at most alpha for a share alpha of examples of the reference's kind.
    """

    log_prob: Tensor
    """Log-likelihood, or a lower bound of it, in nats with shape (n,), float64; -inf where the model rules it out."""
    reference: Tensor
    """The same of the reference examples, with shape (m,), not all of them -inf."""
    exact: bool
    """False where these are lower bounds: a low one may then be a poor bound of a likely example."""

    @property
    def mean(self) -> float:
        """Mean log-likelihood in nats of those reference examples that the model does not rule out."""
        return self.reference[self.reference.isfinite()].mean().item()

    @property
    def typicality(self) -> Tensor:
        """|log p(x) - mean of the reference| in nats with shape (n,); high is unusual."""
        return (self.log_prob - self.mean).abs()

    @property
    def reference_typicality(self) -> Tensor:
        """The same of the reference examples, with shape (m,)."""
        return (self.reference - self.mean).abs()

    @property
    def likelihood_p(self) -> Tensor:
        """Rank p-value of the log-likelihood with shape (n,), two-sided: too likely is as unusual as too unlikely."""
        tails = torch.minimum(rank_p(self.log_prob, self.reference), rank_p(-self.log_prob, -self.reference))
        return (2 * tails).clamp_max(1)

    @property
    def typicality_p(self) -> Tensor:
        """Rank p-value of the typicality with shape (n,): of its upper tail, for the score is two-sided itself.

        Scores are distances from the mean of all m + 1, in which the example counts like any other (full conformal
        prediction; distances from the means of the m others have the same ranks).
        """
        x, finite = self.log_prob, self.log_prob.isfinite()
        usual = self.reference[self.reference.isfinite()]
        mean = (usual.sum() + torch.where(finite, x, 0.0)) / (len(usual) + finite.long())
        low, high = torch.where(x <= mean, x, 2 * mean - x), torch.where(x <= mean, 2 * mean - x, x)
        ordered = self.reference.sort().values
        nearer = torch.searchsorted(ordered, high) - torch.searchsorted(ordered, low, right=True)
        return (1 + len(ordered) - nearer.clamp(min=0)).double() / (1 + len(ordered))

    @property
    def likelihood_auroc(self) -> float:
        """Probability that one of these examples is less likely than one of the reference."""
        return auroc(-self.log_prob, -self.reference)

    @property
    def typicality_auroc(self) -> float:
        """Probability that one of these examples is less typical than one of the reference."""
        return auroc(self.typicality, self.reference_typicality)

    @property
    def order(self) -> Tensor:
        """Rows from the least typical to the most, with shape (n,)."""
        return self.typicality.argsort(descending=True, stable=True)


def out_of_distribution(
    model: Model,
    examples: Examples,
    reference: Examples,
    *,
    prior: Tensor | Prior = "train",
    importance_samples: int = 100,
    seed: int = 0,
) -> Outliers:
    """How unusual each of the ``examples`` is under ``model``, among those of ``reference``.

    ``reference`` must be held out: p-values of new examples among training examples are too small. A model of classes
    scores their mixture, log p(x) = log sum_c p(x | c) p(c), with ``prior`` as in :func:`classify`; any other
    conditional one scores an example given its own condition. ``importance_samples`` an example and ``seed`` are
    for models that only bound log p(x).
    """
    able = abilities(model)
    if not able & {"has-likelihood", "bounds-likelihood"}:
        require(model, "scoring outliers", "has-likelihood")
    batch, usual_data = batch_of(model, examples), data_of(model, reference)
    if not len(usual_data):
        raise BadInput("there are no held-out examples to compare with; hold some out (‹data.holdout› 0.1)")
    if not len(batch):
        raise ValueError("there are no examples to score")
    if importance_samples < 1:
        raise ValueError(f"{importance_samples} importance samples cannot estimate a bound; ask for 1 or more")
    usual, found = (
        log_evidence(model, b.x, b.condition, prior=prior, importance_samples=importance_samples, seed=seed)
        for b in (usual_data.under(model.condition).batch(), batch)
    )
    for which, values in (("example", found), ("held-out example", usual)):
        if values.isnan().any():
            row = int(values.isnan().int().argmax())
            raise ValueError(f"{which} {row} has no log-likelihood; are its values numbers?")
    if not usual.isfinite().any():
        raise ValueError("no held-out example has a finite log-likelihood, so nothing can be compared with them")
    return Outliers(found, usual, "has-likelihood" in able)


def log_evidence(
    model: Model,
    x: Tensor,
    condition: Tensor | None = None,
    *,
    prior: Tensor | Prior = "train",
    importance_samples: int = 100,
    seed: Seed = 0,
) -> Tensor:
    """log p(x) in nats with shape (n,), float64 on the CPU, or a lower bound of it: exact where the model scores.

    Where the condition is a class, that of the mixture of the classes; where it is another, log p(x | ``condition``).
    """
    x = x.to(model.device)

    def score(rows: slice, condition: Tensor | None) -> Tensor:
        part, c = x[rows], None if condition is None else condition[rows]
        if isinstance(model, HasLikelihood):
            return model.log_prob(part, c).double().cpu()
        assert isinstance(model, BoundsLikelihood)
        return model.log_prob_bound(part, importance_samples, c, seed=Seeds.of(seed) + rows.start).double().cpu()

    def whole(condition: Tensor | None) -> Tensor:
        return torch.cat(list(batches(lambda rows: score(rows, condition), len(x), x.device)))

    with torch.no_grad():
        if not model.condition.classes:
            return whole(conditions(model, Batch(x, condition)))
        classes = torch.arange(model.condition.classes, device=x.device)
        weight = log_prior(prior, model.spec)
        return torch.stack([whole(c.expand(len(x))) + w for c, w in zip(classes, weight, strict=True)]).logsumexp(0)


def rank_p(score: Tensor, reference: Tensor) -> Tensor:
    """(1 + number of ``reference`` (m,) that are at least ``score``) / (m + 1) for each score, with shape (n,)."""
    below = torch.searchsorted(reference.sort().values, score)
    return (1 + len(reference) - below).double() / (1 + len(reference))


def auroc(positive: Tensor, negative: Tensor) -> float:
    """Probability that a score of ``positive`` (n,) is above one of ``negative`` (m,), ties counted half: exact."""
    ordered = negative.sort().values
    below, not_above = (torch.searchsorted(ordered, positive, right=right) for right in (False, True))
    return (below + not_above).double().mean().item() / (2 * len(negative))
