"""Made-up comparisons, whose every figure is known, for tests of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

from genwerk.comparison.result import Comparison, Failed, Growth, Measured, Point
from genwerk.evaluation.report import Figure, Report

EVIL = "<script>alert('x')</script>&\"|`*\x1b[2J"


def report(*figures: Figure) -> Report:
    return Report(figures=figures)


def figure(name: str, value: float, spread: float | None = None, **more: Any) -> Figure:
    return Figure(name=name, value=value, spread=spread, **more)


def measured(contestant: str, seed: int, *figures: Figure, **more: Any) -> Measured:
    """A run with these figures, and nothing else to tell."""
    given: dict[str, Any] = {
        "recipe": contestant,
        "run": f"runs/{contestant}-{seed}",
        "family": contestant.upper(),
        "abilities": ("samples",),
        "condition": "",
        "likelihood": "",
        "rounds": 100,
        "settings": {},
        "command": f"genwerk train {contestant} --seed {seed}",
    }
    return Measured(contestant=contestant, seed=seed, report=report(*figures), **{**given, **more})


def comparison(*runs: Measured, **more: Any) -> Comparison:
    given: dict[str, Any] = {
        "source": "digits",
        "data": "8x8 grayscale images of 17 levels, 10 classes",
        "kind": "image",
        "fingerprints": {"train": "1f" * 16, "test": "2e" * 16},
        "examples": {"train": 1437, "validation": 180, "test": 180},
        "budget": "1 CPU minute each, one thread",
        "samples": 2000,
        "extractor": "classifier of the labels, sha256 77aa0c, accuracy 97.2 % on 180 test examples",
        "seed": 0,
        "machine": "2 processors, 1 thread, Linux",
        "version": "Genwerk 0.1.0, PyTorch 2.13.0",
        "command": "genwerk compare --data digits --recipes gan,vae,realnvp --minutes 1 --seeds 3 --out report",
    }
    return Comparison(**{**given, "measured": runs, **more})


def column(key: str, values: dict[str, Sequence[float]], spread: float | None = None) -> Comparison:
    """A comparison of one figure: to each contestant its values, one a seed."""
    return comparison(
        *(measured(c, seed, figure(key, v, spread)) for c, every in values.items() for seed, v in enumerate(every))
    )


DISTANCE = {"gan": (30.0, 34.0, 32.0), "vae": (60.0, 61.0, 62.0), "realnvp": (33.0, 36.0, 36.0)}
NATS = {"vae": (100.0, 101.0, 102.0), "realnvp": (150.0, 151.0, 152.0)}


def three(folder: Path | None = None) -> Comparison:
    """A GAN, a VAE and a flow, three seeds each, one of which failed; pictures are drawn into ``folder``."""
    runs = [_run(name, seed, folder) for name in DISTANCE for seed in range(3) if (name, seed) != ("realnvp", 2)]
    failed = Failed(contestant="realnvp", recipe="realnvp", seed=2, run="runs/realnvp-2", why=f"It diverged: {EVIL}")
    real = {"real": _picture(folder, "real", 8)} if folder is not None else {}
    return comparison(*runs, failed=(failed,), pictures=real, notes=("The flow has 1,000 samples only.",))


def _run(name: str, seed: int, folder: Path | None) -> Measured:
    i = list(DISTANCE).index(name)
    figures = [
        figure("Fréchet distance", DISTANCE[name][seed], 0.8, floor=2.0, noise=900.0, note="2,000 against 180"),
        figure("precision", (0.82, 0.91, 0.7)[i] + seed / 100, 0.01, floor=0.95, noise=0.0),
        figure("recall", (0.6, 0.41, 0.72)[i] + seed / 50, 0.02, floor=0.94, noise=0.0),
        figure("Vendi score", nan if (name, seed) == ("vae", 1) else 6.0 + i + seed / 10, 0.1),
        figure("nearest training distance ratio", 1.0 + i / 10, 0.01),
        figure("AuthPct", 0.6 + i / 20, 0.01, unit="share"),
        figure("discriminator certainty" if i == 0 else f"own figure of {EVIL}", 0.5 + seed / 10),
    ]
    if name in NATS:
        sign = "≤ " if name == "vae" else ""
        figures.append(figure(f"{sign}NLL", NATS[name][seed], 0.9, unit="nats", note="180 held-out"))
        figures.append(figure(f"{sign}bits/dim", NATS[name][seed] / 44.4, 0.02, unit="bits"))
    inverse = {"vae": 0.3, "realnvp": 3e-7}
    figures += [figure("encode-decode error", e * (1 + seed / 10), 0.01 * e) for n, e in inverse.items() if n == name]
    cost = [
        figure("parameters", (150_000.0, 90_000.0, 320_000.0)[i]),
        figure("training CPU seconds", 60.0 + seed / 10, unit="s"),
        figure("training examples per second", (4000, 9000, 1500)[i] + 100.0 * seed, unit="per s"),
        figure("peak training memory", 400.0 + 50 * i + seed, unit="MB"),
        figure("sampling latency", (0.0011, 0.0009, 0.02)[i] + seed * 1e-5, 1e-5, unit="s"),
        figure("samples per second", (50_000, 80_000, 3_000)[i] + 500.0 * seed, 100.0, unit="per s"),
        figure("growth with batch", (0.4, 0.35, 0.9)[i] + seed / 100, 0.02),
    ]
    sizes = (1, 4, 16, 64, 256)
    can = {
        "gan": ("samples", "decodes", "has-latent-prior"),
        "vae": ("samples", "encodes", "decodes", "has-latent-prior", "bounds-likelihood", "importance-weighted"),
        "realnvp": ("samples", "encodes", "decodes", "has-latent-prior", "has-likelihood"),
    }
    pictures = {}
    if folder is not None:
        shown = ["samples", "nearest", "interpolations", *(["reconstructions"] if name in inverse else [])]
        pictures = {what: _picture(folder, f"{name}-{seed}-{what}", 4 + i) for what in shown}
    return replace(
        measured(name, seed, *figures),
        abilities=can[name],
        likelihood={"vae": "bound", "realnvp": "exact"}.get(name, ""),
        efficiency=report(*cost),
        growth=(
            Growth(of="batch", sizes=sizes, seconds=tuple(0.001 * (1 + i) * n ** (0.3 + 0.2 * i) for n in sizes)),
            Growth(of="size", sizes=(64, 256, 1024), seconds=tuple(0.001 * (1 + i) * n**0.5 for n in (1, 4, 16))),
        ),
        curve=tuple(
            Point(
                round=n * 25,
                examples=n * 1600,
                cpu_seconds=15.0 * n + seed,
                seconds=16.0 * n,
                distance=DISTANCE[name][seed] * (1 + 3 / n - 3 / 4),
            )
            for n in (1, 2, 3, 4)
        ),
        pictures=pictures,
    )


def _picture(folder: Path, name: str, side: int) -> str:
    """A sheet of squares, drawn into the folder; its path there."""
    from PIL import Image

    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    sheet = Image.new("L", (side * 10 + 2, side * 10 + 2), 90)
    for i in range(side * side):
        sheet.paste(40 * i % 256, (2 + i % side * 10, 2 + i // side * 10, 10 + i % side * 10, 10 + i // side * 10))
    sheet.save(folder / "pictures" / f"{name}.png")
    return f"pictures/{name}.png"
