"""What is computed outside training stays within the memory that it may take, and is the same however it is cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from genwerk import tasks
from genwerk.core import batching
from genwerk.core.abilities import Decodes, Encodes, Samples
from genwerk.core.batching import Cost, Meter, as_bytes, batches, in_batches, within
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Model, build
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.options import Options
from genwerk.data import DataConfig, Splits, open_data
from genwerk.diffusion.sampling import Diffusion
from genwerk.evaluation.evaluate import evaluate
from genwerk.families.autoencoder_kl import AutoencoderKLConfig
from genwerk.families.ddpm import DDPMConfig
from genwerk.families.latent_diffusion import LatentDiffusion, LatentDiffusionConfig
from genwerk.families.pixelcnn import PixelCNNConfig
from genwerk.families.realnvp import MultiScaleCouplings, RealNVPConfig
from genwerk.families.vae import VAEConfig
from genwerk.families.variational_dequantisation import VariationalDequantisationConfig
from genwerk.metrics.features import Extractor
from genwerk.nn.diffusion import UNetConfig
from genwerk.training.protocol import EvaluateConfig

PIXELS = Extractor("coarse pixels", lambda x: avg_pool2d(x, 8).flatten(1), None, "0" * 12)
CPU = torch.device("cpu")
MB = 10**6


def test_a_meter_counts_what_lives_at_once() -> None:
    x = torch.ones(1000, 250)
    with Meter() as meter:
        part = x[:100]  # a view of what was there before
        a = part * 2  # 100 kB
        b = torch.cat([a, a])  # 200 kB
        del a
        b.add_(1)
        c = b + 1  # 200 kB
    assert meter.peak == 400_000
    assert c.shape == (200, 250)


@pytest.mark.parametrize("said", ["DefaultCPUAllocator: can't allocate memory", "CUDA out of memory", None])
def test_where_memory_runs_out_half_as_many_are_tried(said: str | None) -> None:
    tried: list[int] = []

    def function(rows: slice) -> Tensor:
        tried.append(rows.stop - rows.start)
        if tried[-1] > 3:
            raise MemoryError if said is None else RuntimeError(said)
        return torch.arange(rows.start, rows.stop)

    assert torch.cat(list(batches(function, 20, CPU, cost=Cost(1)))).tolist() == list(range(20))
    assert tried[:5] == [20, 10, 5, 2, 2]


def test_what_does_not_fit_alone_and_what_is_no_lack_of_memory_is_raised() -> None:
    def lacking(rows: slice) -> Tensor:
        raise torch.OutOfMemoryError

    def wrong(rows: slice) -> Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(torch.OutOfMemoryError):
        list(batches(lacking, 4, CPU))
    with pytest.raises(RuntimeError, match="multiplied"):
        list(batches(wrong, 4, CPU, cost=Cost(1)))


def test_parts_are_as_large_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(100, 2500)  # ten kilobytes a row, of which two copies are made
    sizes: list[int] = []

    def function(part: Tensor) -> Tensor:
        sizes.append(len(part))
        return (part + 1) * 2

    with within("500kB"):
        assert torch.equal(in_batches(function, x), (x + 1) * 2)
    assert sizes == [1, 25, 25, 25, 24]
    monkeypatch.setenv(batching.MEMORY, "0.2MB")
    assert batching.budget(CPU) == 200_000
    monkeypatch.delenv(batching.MEMORY)
    monkeypatch.setattr(batching, "free_memory", lambda: 4000)
    assert batching.budget(CPU) == 1000


def test_sizes_of_memory_are_read() -> None:
    assert [as_bytes(size) for size in ("2GB", "1.5 mb", "700", "3K")] == [2 * 10**9, 1_500_000, 700, 3000]
    for wrong in ("much", "-1GB", "0", "nan"):
        with pytest.raises(BadInput, match="expected a size such as 500MB or 2GB"):
            as_bytes(wrong)


# --- every way of using a model ---------------------------------------------------------------------------------------

SCENES = DataConfig(source="scenes", size=32, limit=120)
DIFFUSION = DDPMConfig(network=UNetConfig(widths=(16, 16), attention=(False, False), blocks=1))


@pytest.fixture(scope="module")
def splits() -> Splits:
    return open_data(SCENES)


def made(config: Config, splits: Splits) -> Model:
    torch.manual_seed(0)
    return build(config, splits.spec).eval()


def latent_diffusion(splits: Splits) -> LatentDiffusion:
    config = LatentDiffusionConfig(autoencoder=AutoencoderKLConfig(widths=(16, 16), adversarial=0.0), prior=DIFFUSION)
    model = made(config, splits)
    assert isinstance(model, LatentDiffusion)
    return model


def ceiling(do: Callable[[], Tensor], most: int, *, atol: float = 1e-4) -> None:
    """``do`` takes at most ``most`` bytes where that is allowed, and more where more is, to the same end."""
    with within("1GB"), Meter() as free:
        expected = do()
    with within(most // 2), Meter() as bound:
        found = do()
    torch.testing.assert_close(found, expected, atol=atol, rtol=1e-4)
    assert bound.peak < most < free.peak


def test_noise_is_taken_away_within_bounds(splits: Splits) -> None:
    model = made(DIFFUSION, splits)
    few = Diffusion(steps=2)
    ceiling(lambda: tasks.sample(model, 48, seed=0, options=few).x, 6 * MB)
    ceiling(lambda: tasks.sdedit(model, splits.train.batch(slice(48)), 0.5, seed=0, options=few), 6 * MB)


def test_codes_are_made_and_decoded_within_bounds(splits: Splits) -> None:
    model = latent_diffusion(splits)
    few = Diffusion(steps=2)
    ceiling(lambda: model.codes(splits.train).x, 6 * MB)
    ceiling(lambda: tasks.sample(model, 48, seed=0, options=few).x, 6 * MB)
    ceiling(lambda: tasks.sdedit(model, splits.train.batch(slice(48)), 0.5, seed=0, options=few), 6 * MB)


def test_likelihoods_are_found_within_bounds(splits: Splits) -> None:
    flow = RealNVPConfig(architecture=MultiScaleCouplings(blocks=1, channels=16))
    for config, draws in ((VAEConfig(latent=4), 20), (VariationalDequantisationConfig(flow=flow), 3)):
        model = made(config, splits)
        ceiling(
            lambda m=model, d=draws: torch.tensor(tasks.log_likelihood(m, splits.train, importance_samples=d).nats),
            8 * MB,
        )  # type: ignore[misc]


def test_symbols_are_emitted_and_filled_in_within_bounds() -> None:
    digits = open_data(DataConfig(source="digits", limit=80))
    model = made(PixelCNNConfig(width=8, layers=2), digits)
    ceiling(lambda: tasks.sample(model, 60, seed=0).x, MB // 4)


class Copies(Model, Samples, Encodes, Decodes):
    """Draws noise, and gives back what it is shown, a little dimmed."""

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        return SeededNoise(n, seed).uniform(*self.spec.shape)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return 0.9 * x

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return 0.9 * z


def test_an_evaluation_holds_features_and_not_pictures() -> None:
    large = open_data(replace(SCENES, size=64))
    model, seen = Copies(Config(), large.spec), replace(large, test=large.train)

    def measured() -> Tensor:
        return torch.tensor([f.value for f in evaluate(model, seen, EvaluateConfig(), extractor=PIXELS).figures])

    ceiling(measured, 5 * MB, atol=1e-3)
