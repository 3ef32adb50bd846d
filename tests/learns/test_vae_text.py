"""A VAE of texts learns sixteen words that are all as likely, with a code that tells them apart or without one."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch

from genwerk.core.spec import DataSpec
from genwerk.core.vocabularies import Characters
from genwerk.data.dataset import Dataset
from genwerk.families.vae_text import TextVAE
from genwerk.nn.annealing import NoAnnealing
from genwerk.nn.text_coder import LSTMCoder
from genwerk.recipes import find
from genwerk.training.settings import OptimConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="text", shape=(6,), vocabulary=Characters(symbols=tuple("abcd"), length=6))
ENTROPY = log(16)


def words() -> torch.Tensor:
    """Sixteen different words of five letters, ended."""
    x = torch.randint(2, 6, (16, 6), generator=torch.Generator().manual_seed(3))
    x[:, 5] = 0
    return x


@pytest.mark.parametrize("free_bits", [0.0, 1.0])
def test_the_bound_comes_to_the_entropy_and_the_code_is_used_where_it_is_free(free_bits: float) -> None:
    recipe = find("vae-text").make(SPEC)
    torch.manual_seed(0)
    network = LSTMCoder(embedding=16, width=32)
    settings = replace(recipe.model, network=network, latent=4, free_bits=free_bits)
    if not free_bits:
        settings = replace(settings, annealing=NoAnnealing())
    x = words()
    assert len(x.unique(dim=0)) == 16
    model = TextVAE(settings, SPEC)
    optim = {"model": OptimConfig(lr=1e-2, schedule="cosine")}
    quiet = replace(
        recipe.train, rounds=500, batch_size=16, optim=optim, sample_every=0, evaluate_every=0, save_every=0
    )
    Trainer(model, Dataset(x=x.int(), spec=SPEC), quiet).fit()
    nll = -model.log_prob_bound(x, 200, seed=0).mean().item()
    found = {name: value.sum().item() for name, value in model.diagnose(x).items()}
    samples = model.sample(500, seed=0)
    real = (samples[:, None] == x).all(2).any(1).float().mean().item()
    assert ENTROPY - 0.05 < nll < ENTROPY + (1.0 if free_bits else 0.1)
    if free_bits:
        assert 3.9 < found["KL of codes"] < 4.5
        assert found["active units"] == 4
        assert found["share of tokens rebuilt"] > 0.95
        assert real > 0.7
    else:
        assert found["KL of codes"] < 0.1
        assert found["share of tokens rebuilt"] < 0.6
        assert real > 0.95
