"""A kind of data that Genwerk has never heard of, in one class and one reader: all else finds its way by the class."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import genwerk
from genwerk.cli.writing import Files
from genwerk.commands.results import Examples
from genwerk.core.errors import BadInput
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.modality import MODALITIES, Modality
from genwerk.core.spec import Batch, DataSpec
from genwerk.data import BUILT_INS, DataConfig, Dataset
from genwerk.data.parts import Found
from genwerk.nn.flows.preprocessing import Continuous, PixelTransform, Preprocessing
from genwerk.nn.units import NetworkUnits, Standardise
from genwerk.runs import store
from genwerk.runs.opened import OpenRun


class Graph(Modality):
    """Weighted graphs of a few nodes: weights with shape (nodes, nodes), stored as int16 hundredths."""

    plural = "graphs"
    endings = (".dot",)
    one_per_file = True

    @property
    def size(self) -> str:
        return f"{self.spec.shape[0]} nodes"

    def from_stored(self, x: Tensor) -> Tensor:
        return x.to(torch.get_default_dtype()) / 100 if x.dtype == torch.int16 else x

    def to_stored(self, x: Tensor) -> Tensor:
        return (100 * x).round().to(torch.int16)

    def made_up(self, n: int, generator: torch.Generator) -> Tensor:
        half = torch.rand(n, *self.spec.shape, generator=generator).cumsum(-1)
        return self.to_stored(half + half.mT)

    def units(self, *, centred: bool = True) -> NetworkUnits:
        return Standardise(self.spec.shape)

    def preprocessing(self, pixels: PixelTransform) -> Preprocessing:
        return Continuous(self.units())

    def features(self, train: Iterable[Tensor]) -> tuple[str, Callable[[Tensor], Tensor], tuple[Tensor, ...]]:
        return "degrees of the nodes", lambda x: x.sum(-1), ()

    def mask(self, known: str, read: Callable[[Path], Tensor]) -> Tensor:
        if not (found := re.fullmatch(r"first-(\d+)", known)):
            raise BadInput(f"{known!r} is not known; expected first-2, the number of nodes")
        mask = torch.zeros(1, *self.spec.shape, dtype=torch.bool)
        mask[:, : int(found[1]), : int(found[1])] = True
        return mask

    def write(self, stem: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        path = stem if stem.suffix == ".dot" else stem.with_name(stem.name + ".dot")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self._dot(x) for x in (batch.x if batch.target is None else batch.target)))
        return path

    def write_one(self, stem: Path, x: Tensor, origin: Mapping[str, Any]) -> Path:
        return self.write(stem, Batch(x[None]), origin)

    def _dot(self, x: Tensor) -> str:
        edges = (f"{i} -- {j} [weight={w:.2f}]" for i, row in enumerate(x.tolist()) for j, w in enumerate(row))
        return f"graph {{ {'; '.join(edges)} }}"


SPEC = DataSpec(kind="graph", shape=(3, 3))


def read(settings: DataConfig) -> Found:
    """The reader: 200 graphs."""
    return Found(train=Dataset(x=SPEC.modality.made_up(200, torch.Generator().manual_seed(settings.seed)), spec=SPEC))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODALITIES, "graph", Graph)
    monkeypatch.setattr(Graph, "kind", "graph", raising=False)
    monkeypatch.setitem(BUILT_INS, "graphs", read)


def test_it_is_known_as_soon_as_its_class_is_defined() -> None:
    class Molecule(Graph, kind="molecule"):
        """Graphs of atoms."""

    assert str(DataSpec(kind="molecule", shape=(4, 4))) == "graphs of 4 nodes"
    del MODALITIES["molecule"]
    with pytest.raises(BadInput, match="no kind of data 'molecule'; there are audio, graph, image"):
        str(DataSpec(kind="molecule", shape=(4, 4)))


@pytest.mark.parametrize("recipe", ["autoencoder", "autoencoder-mixture", "mixture", "vae", "maf"])
def test_models_learn_it_and_are_stored_sampled_measured_and_written(recipe: str, tmp_path: Path) -> None:
    run = genwerk.train(recipe, "graphs", out=tmp_path / "run", rounds=40, seed=0)
    assert run.report is not None
    if "samples" in genwerk.abilities(run.model):
        assert run.report["Fréchet distance"].noise is not None
        assert str(run.report.extractor).startswith("degrees of the nodes")
    _, _, spec, _ = store.read_config(tmp_path / "run" / "config.json")
    assert spec == SPEC
    assert str(spec) == "graphs of 3 nodes"

    opened = OpenRun(tmp_path / "run", "cpu", None, print)
    x = opened.splits.test.batch(slice(4)).x
    assert x.dtype == torch.float32
    made = genwerk.sample(opened.model, 4, seed=1) if "samples" in genwerk.abilities(opened.model) else Batch(x)

    def written(out: str) -> list[tuple[str, Path]]:
        return Files("samples", tmp_path, str(tmp_path / out)).examples(Examples.of(opened, made))

    assert written("four.dot") == [("wrote", tmp_path / "four.dot")]
    assert (tmp_path / "four.dot").read_text().count("graph {") == 4
    assert written("each") == [("wrote 4 graphs into", tmp_path / "each")]
    assert len(list((tmp_path / "each").glob("*.dot"))) == 4
    with pytest.raises(BadInput, match=r"expected \.dot, \.csv, \.tsv"):
        written("four.wav")
    if recipe == "mixture":
        known = opened.mask("first-2")
        assert known.sum() == 4
        filled = genwerk.complete(opened.model, Batch(x), known, 1, seed=0).x
        assert torch.equal(filled[:, 0][known.expand_as(x)], x[known.expand_as(x)])
        with pytest.raises(BadInput, match="number of nodes"):
            opened.mask("top-half")
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert {Path(e["file"]).suffix for e in events if "file" in e and e["event"] != "saved"} == {".dot"}
