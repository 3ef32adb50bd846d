"""Inception: TensorFlow's resize, the network against the field's, and files that are not its weights."""

import pickle
import zlib

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from genwerk.metrics.inception import Inception, inception, inception_score, interpolation, pool, prepare

CPU = torch.device("cpu")


def formula(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights that need no random generator: waves of a frequency that visits all phases, a phase a name."""
    for name, tensor in state.items():
        if tensor.is_floating_point():
            phase = zlib.crc32(name.encode()) % 1000
            wave = torch.sin(78.233 * torch.arange(tensor.numel(), dtype=torch.float64) + phase).view_as(tensor)
            if name.endswith(("running_var", "bn.weight")):
                wave = 1 + wave / 2
            elif name.endswith("conv.weight"):
                wave = wave * 2 / tensor[0].numel() ** 0.5
            tensor.copy_(wave)
    return state


@pytest.fixture(scope="module")
def network() -> Inception:
    network = Inception()
    formula(network.state_dict())
    return network.eval()


@pytest.mark.parametrize(("old", "new"), [(8, 299), (299, 299), (500, 299), (1, 5)])
def test_interpolation_is_tensorflows_rule(old, new):
    row = torch.rand(old, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = []
    for i in range(new):
        position = i * old / new
        left = int(position)
        right = min(left + 1, old - 1)
        expected.append(row[left] + (row[right] - row[left]) * (position - left))
    assert torch.allclose(interpolation(old, new) @ row, torch.stack(expected), atol=1e-12)


def test_prepare_rounds_to_levels_and_repeats_grey():
    x = torch.rand(2, 1, 10, 14, generator=torch.Generator().manual_seed(0))
    ready = prepare(x)
    assert ready.shape == (2, 3, 299, 299)
    assert torch.equal(ready[:, 0], ready[:, 2])
    assert torch.equal(ready, prepare((x * 255).round() / 255))
    assert torch.allclose(prepare(torch.ones(1, 3, 4, 4)), torch.tensor(127 / 128))
    half = torch.tensor([1.0, 0.0, 0.0, 0.5]).view(1, 4, 1, 1).expand(1, 4, 4, 4)  # red, through which white is seen
    assert torch.equal(prepare(half), prepare(torch.tensor([1.0, 0.5, 0.5]).view(1, 3, 1, 1).expand(1, 3, 4, 4)))
    with pytest.raises(ValueError, match="5 channels"):
        prepare(torch.zeros(1, 5, 8, 8))


def test_the_inception_score_of_distributions_that_are_known():
    even = torch.eye(4).repeat(50, 1)  # 200 samples, each surely of one of four classes, in turn
    assert inception_score(1e3 * even, splits=5) == pytest.approx((4, 0))
    assert inception_score(torch.zeros(20, 4)) == pytest.approx((1, 0))
    p, q = torch.tensor([0.9, 0.1]), torch.tensor([0.1, 0.9])
    divergence = (p * (p / 0.5).log()).sum()
    assert inception_score(torch.stack([p, q] * 20).log(), splits=2)[0] == pytest.approx(divergence.exp().item())
    with pytest.raises(ValueError, match="10 splits, and there are 4 samples"):
        inception_score(torch.zeros(4, 4))


def test_average_pooling_ignores_the_padding():
    ones = torch.ones(1, 1, 5, 5)
    assert torch.equal(pool(ones, "average"), ones)
    assert pool(torch.zeros(1, 1, 17, 17), "shrink").shape[2:] == (8, 8)


def test_size_is_that_of_the_published_network(network):
    """The common port has 27,161,264, of which 3,326,696 in its auxiliary head and 2,049,000 in its last layer."""
    assert sum(p.numel() for p in network.parameters()) == 27_161_264 - 3_326_696 - 2_049_000


def test_features_are_those_of_the_reference_network(network):
    """Expected: torch-fidelity 0.4.0's FeatureExtractorInceptionV3 in float64 with these weights, layer "2048"."""
    expected = [24.254795, 30.129683, 0.17858706, 0.013813695, 0.50417387, 0.0, 0.0, 0.55618799]
    levels = torch.arange(3 * 20 * 30).mul(37).remainder(256).view(1, 3, 20, 30)
    with torch.no_grad():
        features = network(levels / 255)[0]
    assert features.shape == (2048,)
    assert features[::256].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert features.mean().item() == pytest.approx(5.4024277, rel=1e-5)


def test_weights_come_from_a_file(network, tmp_path):
    weights = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    weights["fc.weight"] = torch.zeros(1008, 2048)
    save_file(weights, tmp_path / "w.safetensors")
    x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    extractor = inception(tmp_path / "w.safetensors", CPU)
    with torch.no_grad():
        assert torch.allclose(extractor(x), network(x), atol=1e-5)
    assert extractor.inception


class Dangerous:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="there is no Inception weights file"):
        inception(tmp_path / "none.pth", CPU)
    save_file({"fc.weight": torch.zeros(1000, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="1000 classes"):
        inception(tmp_path / "other.safetensors", CPU)
    save_file({"Conv2d_1a_3x3.conv.weight": torch.zeros(2)}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"Conv2d_1a_3x3\.conv\.weight"):
        inception(tmp_path / "part.safetensors", CPU)
    for name, content in (
        ("junk.safetensors", b"junk"),
        ("empty.pth", b""),
        ("junk.pth", b"junk"),
        ("code.pth", pickle.dumps({"fc.weight": Dangerous()}, protocol=2)),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"not a safetensors file.*never opened.*convert them"):
            inception(tmp_path / name, CPU)
