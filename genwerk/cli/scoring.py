"""Commands that ask a density about examples: which class they are of, and how unusual they are."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from genwerk.cli.options import HERE, Greatest, Json, On, Prior, Run, open_run, print_json, tell_prior
from genwerk.cli.progress import say, table

if TYPE_CHECKING:
    from genwerk.commands.inputs import OpenRun
    from genwerk.data import Dataset
    from genwerk.tasks.classification import Calibrated, Classification

Show = Annotated[int, arg(help="Greatest number of rows to print; 0 prints all.")]


def classify(
    run: Run,
    *,
    input: str | None = None,
    n: Greatest = 2000,
    label: str | None = None,
    prior: Prior = "train",
    temperature: float = 1.0,
    show: Show = 20,
    seed: int = 0,
    machine: On = HERE,
    as_json: Json = False,
) -> None:
    """Classify by Bayes' rule: each example's class probabilities, or how good they are on the run's held-out data.

    Args:
        input: Your own images, sounds or table (a path); without it accuracy and calibration on the run's test part are
            measured, with a temperature that is fitted on one half of it and measured on the other.
        label: True class of all of the input, by name or number, to measure the accuracy by.
        temperature: What the logarithms of your input's class probabilities are divided by, as measured without it.
        seed: Seed of the choice of halves.
    """
    from genwerk.tasks import classification

    opened = open_run(run, machine)
    classification.classes_of(opened.model)
    if not as_json:
        tell_prior(opened, prior)
    if input is None:
        data = some(held(opened), n, seed)
        found = classification.classify(opened.model, data.batch(), prior)
        tell_calibration(classification.calibrate(found, data.condition, seed=seed), found, data, as_json)
        return
    batch = opened.examples(input, n, label)
    found = classification.classify(opened.model, batch, prior, temperature)
    accuracy = None if batch.condition is None else classification.calibration(found, batch.condition).accuracy
    tell_classes(opened, found, accuracy, show, as_json)


def outliers(
    run: Run,
    *,
    input: Annotated[str, arg(help="Your own images, sounds or table (a path).")],
    n: Greatest = 2000,
    examples: int = 2000,
    draws: int = 100,
    show: Show = 20,
    seed: int = 0,
    machine: On = HERE,
    as_json: Json = False,
) -> None:
    """Tell how unusual examples are among the run's held-out data, the least typical first.

    Args:
        examples: Greatest number of held-out examples to compare with.
        draws: Importance draws an example, for likelihood bounds.
        seed: Seed of the draws, and of the choice of held-out examples.
    """
    from genwerk.tasks.outliers import out_of_distribution

    opened = open_run(run, machine)
    reference = some(held(opened, labels=False), examples, seed)
    found = out_of_distribution(opened.model, opened.examples(input, n, None), reference, draws=draws, seed=seed)
    order = found.order.tolist()
    columns = {
        "log_prob": found.log_prob.tolist(),
        "likelihood_p": found.likelihood_p.tolist(),
        "typicality": found.typicality.tolist(),
        "typicality_p": found.typicality_p.tolist(),
    }
    auroc = {"likelihood": found.likelihood_auroc, "typicality": found.typicality_auroc}
    if as_json:
        finite = {name: [v if isfinite(v) else None for v in values] for name, values in columns.items()}
        rows = [{"example": i} | {name: values[i] for name, values in finite.items()} for i in order]
        print_json(
            {"exact": found.exact, "reference": len(reference), "mean": found.mean, "auroc": auroc, "examples": rows}
        )
        return
    head = ["example", "log p(x)" if found.exact else "log p(x) ≥", "p, two-sided", "typicality", "p"]
    table(head, [[str(i), *(f"{values[i]:.4g}" for values in columns.values())] for i in order[: show or None]])
    tell_rest(len(order), show)
    say(
        f"p-values are ranks among {len(reference):,} held-out examples; typicality is the distance in nats from their "
        f"mean of {found.mean:.4g}" + ("" if found.exact else ", of bounds")
    )
    say(f"AUROC against them: {auroc['likelihood']:.4f} by likelihood, {auroc['typicality']:.4f} by typicality")


# --- helpers ----------------------------------------------------------------------------------------------------------


def held(opened: OpenRun, part: Literal["train", "validation", "test"] = "test", *, labels: bool = True) -> Dataset:
    """A part of the run's own data, with labels that mean the model's classes; says where nothing was held out."""
    splits = opened.splits
    data = splits.part(part)
    known, found = opened.spec.classes, splits.spec.classes
    if labels and found != known:
        new = [name for name in found if name not in known]
        raise ValueError(
            f"{splits.settings.source} has the class {new[0]!r}, which this model has never seen"
            if new
            else f"{splits.settings.source} has the classes {', '.join(found) or 'of no labels'}, and the model was "
            f"trained on {', '.join(known)}"
        )
    if labels and data.condition is None:
        raise ValueError(f"the {part} part of {splits.settings.source} carries no labels, and labels are needed here")
    if part != "train" and opened.own and data is splits.train:
        say("nothing was held out of these data: the model has seen these examples, and the figures flatter it")
    return data


def some(data: Dataset, n: int, seed: int) -> Dataset:
    """At most ``n`` of ``data``, taken at random."""
    if n < 1:
        raise ValueError(f"asked for {n} examples; ask for 1 or more")
    return data.subset(n, seed)


def tell_calibration(measured: Calibrated, found: Classification, data: Dataset, as_json: bool) -> None:
    """Accuracy on all examples, and calibration on those that the temperature was not fitted on."""
    from dataclasses import asdict

    before, after = measured.before, measured.after
    assert data.condition is not None
    accuracy = (found.prediction == data.condition.cpu()).double().mean().item()
    if as_json:
        print_json({"accuracy": accuracy, "examples": len(data), **asdict(measured)})
        return
    say(f"Bayes accuracy {accuracy:.4f} on {len(data):,} held-out examples, {len(data.spec.classes)} classes")
    say(
        f"temperature {measured.temperature:.4g}, fitted on {measured.fitted_on:,} of them; on the other "
        f"{measured.measured_on:,}:"
    )
    names = {"calibration error": "error", "Brier score": "brier", "NLL of the class, nats": "nll"}
    figures = [[name, f"{getattr(before, field):.4f}", f"{getattr(after, field):.4f}"] for name, field in names.items()]
    table(["figure", "temperature 1", f"temperature {measured.temperature:.4g}"], figures)
    rows = [
        [
            f"{b.low:.2f} to {b.high:.2f}",
            *(text for x in (b, a) for text in (f"{x.count}", *shares(x.confidence, x.accuracy))),
        ]
        for b, a in zip(before.bins, after.bins, strict=True)
        if b.count or a.count
    ]
    table(["confidence", "examples", "mean", "accuracy", "examples after", "mean", "accuracy"], rows)


def shares(*values: float) -> list[str]:
    """Numbers with three decimals, nothing where there is none."""
    return ["" if v != v else f"{v:.3f}" for v in values]


def tell_classes(opened: OpenRun, found: Classification, accuracy: float | None, show: int, as_json: bool) -> None:
    """The classes of each example, likeliest first."""
    names, p = opened.spec.classes, found.probabilities
    if as_json:
        predicted = [names[c] for c in found.prediction.tolist()]
        figures = {"temperature": found.temperature, "accuracy": accuracy, "classes": names}
        print_json({**figures, "predictions": predicted, "probabilities": p.tolist()})
        return
    most = min(5, len(names))
    top = p.topk(most, 1)
    rows = [
        [str(i), *(f"{names[c]} {v:.4f}" for c, v in zip(classes, values, strict=True))]
        for i, (classes, values) in enumerate(zip(top.indices.tolist(), top.values.tolist(), strict=True))
    ]
    table(["example", "likeliest class", *["then"] * (most - 1)], rows[: show or None])
    tell_rest(len(rows), show)
    if accuracy is not None:
        say(f"accuracy {accuracy:.4f} on {len(rows):,} examples")


def tell_rest(n: int, show: int) -> None:
    """Say how many of ``n`` rows were not printed."""
    if 0 < show < n:
        say(f"and {n - show:,} more; --show 0 prints all, --json gives them as data")
