"""WaveNet steps as it learns, sees its field and nothing else, and streams without a seam."""

from __future__ import annotations

from pathlib import Path

import pytest
import stepping
import torch
from torch import Tensor

from genwerk.core.model import build
from genwerk.core.options import Streamed
from genwerk.core.spec import Batch, DataSpec
from genwerk.families.wavenet import WaveNet, WaveNetConfig
from genwerk.nn.autoregressive.network import dependence
from genwerk.nn.autoregressive.stream import Stream, StreamState
from genwerk.nn.autoregressive.wavenet import WaveNetNetwork

DILATIONS = (1, 2, 4, 1, 2)
SPEC = DataSpec(kind="audio", shape=(1, 60), sample_rate=8000, classes=("a", "b", "c"))
SMALL = WaveNetConfig(stacks=2, layers=3, residual=6, gate=5, skip=7, head=8)
FIELD = 15  # 1 + 2 (1 + 2 + 4)


def small_network(length: int = 40, levels: int = 7, kernel: int = 2, classes: int = 0) -> WaveNetNetwork:
    torch.manual_seed(0)
    network = WaveNetNetwork(
        length, levels, dilations=DILATIONS, kernel=kernel, residual=5, gate=4, skip=6, head=8, classes=classes
    )
    stepping.random_weights(network)
    return network


def wavenet(conditional: bool = False, seed: int = 0, **changes: int) -> WaveNet:
    torch.manual_seed(seed)
    model = build(WaveNetConfig(**vars(SMALL) | {"conditional": conditional} | changes), SPEC).eval()
    assert isinstance(model, WaveNet)
    return model


def tone(n: int = 4, length: int = 60, seed: int = 0) -> Tensor:
    """Sine waves of random pitch and phase with shape (n, 1, length)."""
    pitch, phase = torch.rand(2, n, 1, 1, generator=torch.Generator().manual_seed(seed))
    return (0.3 + pitch) * 0.8 * torch.sin(torch.arange(length) * (0.1 + pitch) + 6 * phase)


# --- the network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("length", [9, 40])  # shorter and longer than the field: 11 or 21
def test_the_network_is_what_an_autoregressive_network_must_be(length: int, kernel: int, classes: int) -> None:
    network = small_network(length, kernel=kernel, classes=classes)
    condition = torch.tensor([0, 2, 1]) if classes else None
    stepping.assert_steps_equal_the_pass(network, condition)
    stepping.assert_log_prob_is_that_of_the_logits(network, condition)
    stepping.assert_forks_part(network, None if condition is None else condition[:2])


@pytest.mark.parametrize("classes", [0, 3])
def test_the_probabilities_of_all_sounds_there_are_sum_to_one(classes: int) -> None:
    stepping.assert_sums_to_one(small_network(9, levels=2, classes=classes), torch.tensor([1]) if classes else None)
    stepping.assert_sums_to_one(small_network(5, levels=4, classes=classes), torch.tensor([2]) if classes else None)


def test_the_pass_is_the_textbook_s() -> None:
    """Sections 2.1 to 2.5 of the paper, one sample after the other."""
    network, symbols = small_network(12, classes=3), torch.arange(12)[None] % 7
    w = {name: parameter.detach() for name, parameter in network.named_parameters()}
    inputs = [w["table.weight"][s] for s in [network.silence, *symbols[0, :-1].tolist()]]
    zeros, label = torch.zeros(5, dtype=torch.float64), w["label.weight"][2].view(5, 8)
    skips = [torch.zeros(6, dtype=torch.float64) for _ in inputs]
    for i, d in enumerate(DILATIONS):
        outputs = []
        for t, x in enumerate(inputs):
            past = inputs[t - d] if t >= d else zeros
            kernel = w[f"gates.{i}.weight"]
            z = kernel[:, :5] @ past + kernel[:, 5:] @ x + w[f"gates.{i}.bias"] + label[i]
            gated = torch.tanh(z[:4]) * torch.sigmoid(z[4:])
            skips[t] = skips[t] + w[f"skips.{i}.weight"] @ gated
            outputs.append(x + w[f"residuals.{i}.weight"] @ gated if i < 4 else x)
        inputs = outputs
    hidden = [w["head.1.weight"] @ s.relu() + w["head.1.bias"] for s in skips]
    expected = torch.stack([w["head.3.weight"] @ h.relu() + w["head.3.bias"] for h in hidden], 1)
    with torch.no_grad():
        torch.testing.assert_close(network(symbols, torch.tensor([2]))[0], expected)


@pytest.mark.parametrize("kernel", [2, 3])
def test_a_prediction_sees_its_field_and_no_more(kernel: int) -> None:
    network = small_network(kernel=kernel)
    assert network.field == {2: 11, 3: 21}[kernel]
    seen = dependence(network, (30,), range(30))
    t, s = torch.arange(30)[:, None], torch.arange(30)
    assert torch.equal(seen, (s < t) & (s >= t - network.field))


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("known", [1, 10, 11, 12, 21, 22, 100, 333])
def test_a_long_prompt_leaves_the_rings_as_if_all_of_it_had_been_pushed(known: int, kernel: int) -> None:
    network = small_network(known, kernel=kernel, classes=3)
    symbols, condition = stepping.some_symbols(network, 2), torch.tensor([1, 2])
    with torch.no_grad():
        pushed, read = network.begin(2, condition), network.prefill(symbols, condition)
        for symbol in symbols.unbind(1):
            network.logits(pushed)
            network.push(pushed, symbol)
        assert read.position == pushed.position == known
        for symbol in stepping.some_symbols(small_network(30), 2, seed=9).unbind(1):  # all rings wrap around
            torch.testing.assert_close(network.logits(read), network.logits(pushed), rtol=1e-9, atol=1e-9)
            network.push(read, symbol)
            network.push(pushed, symbol)


def test_what_stands_before_the_field_of_a_prompt_is_not_read() -> None:
    network = small_network(100)
    symbols = stepping.some_symbols(network, 2)
    changed = symbols.clone()
    changed[:, : 100 - network.field] = 0
    one, other = network.prefill(symbols), network.prefill(changed)
    assert all(torch.equal(a, b) for a, b in zip(one.tensors.values(), other.tensors.values(), strict=True))


def test_a_ring_holds_as_many_vectors_as_its_layer_looks_back() -> None:
    assert small_network(kernel=3).begin(2).tensors["rings"].shape == (2, 20, 5)


# --- the family -------------------------------------------------------------------------------------------------------


def test_the_published_field() -> None:
    model = wavenet()
    assert model.receptive_field == FIELD
    found = model.diagnose(tone())
    assert found["receptive field in samples"] == FIELD
    assert found["receptive field in milliseconds"] == pytest.approx(1000 * FIELD / 8000)
    assert WaveNet(WaveNetConfig(stacks=3), SPEC).receptive_field == 3070


def test_building_draws_no_random_number_for_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    wavenet(seed=3)
    after = torch.rand(3)
    monkeypatch.setattr(WaveNet, "emits", lambda self, symbols, network, *_: setattr(self, "coverage", 1.0))
    with pytest.raises(ValueError, match="of what it should see"):
        wavenet(seed=3)
    assert torch.equal(after, torch.rand(3))


def test_parts_of_a_sound_tell_its_likelihood() -> None:
    """The mean over all parts is the whole, for each is read with its field before it."""
    whole, parts = wavenet().double(), wavenet(crop=20).double()
    x = tone().double()
    expected = -whole.log_prob(x).mean()
    found = [parts.excerpt(Batch(x), first, first + 20)[0] for first in (0, 20, 40)]
    torch.testing.assert_close(torch.stack(found).mean(), expected)
    assert {parts.crop(step) for step in range(9)} == {(0, 20), (20, 40), (40, 60)}
    assert {whole.crop(step) for step in range(9)} == {(0, 60)}
    assert {wavenet(crop=45).crop(step) for step in range(9)} == {(0, 45), (15, 60)}


def lasting(samples: int) -> Streamed:
    return Streamed(seconds=samples / SPEC.sample_rate)


@pytest.mark.parametrize("conditional", [False, True])
def test_blocks_are_one_long_sound_and_so_is_what_follows_an_interruption(conditional: bool, tmp_path: Path) -> None:
    model, condition = wavenet(conditional), torch.tensor([2, 0]) if conditional else None
    for c in [None, condition][: 1 + conditional]:  # a label drawn, and a label told
        whole = model.sample(2, c, options=lasting(150), seed=5)
        assert whole.shape == (2, 1, 150)
        stream = model.stream(2, c, seed=5, block=50)
        assert isinstance(stream, Stream)
        assert torch.equal(torch.cat([next(stream) for _ in range(3)], 2), whole)
        stream = model.stream(2, c, seed=5, block=7)
        first = torch.cat([next(stream) for _ in range(9)], 2)
        stream.state.save(tmp_path / "state.safetensors")
        next(stream)  # goes on without harm to what was kept
        again = model.stream(block=29, state=StreamState.load(tmp_path / "state.safetensors"))
        assert torch.equal(torch.cat([first, *(next(again) for _ in range(3))], 2), whole)


def test_a_sound_of_the_data_s_length_is_the_beginning_of_a_longer_one() -> None:
    model = wavenet()
    assert torch.equal(model.sample(2, seed=1), model.sample(2, options=lasting(90), seed=1)[..., :60])


def test_a_prompt_is_gone_on_from() -> None:
    model = wavenet()
    prompt = tone(1, 40)
    sound = model.sample(3, seed=2, prompt=prompt)
    assert sound.shape == (3, 1, 60)
    assert torch.equal(sound[..., :40], prompt.expand(3, -1, -1))
    recent = model.stream(3, seed=2, prompt=prompt[..., -FIELD:]).read(20)
    assert torch.equal(sound[..., 40:], recent), "only the last field of a prompt counts"
    assert not torch.equal(sound[..., 40:], model.sample(3, seed=2)[..., :20])
    assert torch.equal(model.sample(1, options=lasting(40), prompt=prompt), prompt)


def test_the_likeliest_sound_does_not_depend_on_the_seed() -> None:
    model = wavenet()
    one, other = (model.sample(1, seed=s, options=Streamed(temperature=0)) for s in (0, 9))
    assert torch.equal(one, other)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused_with_a_sentence(tmp_path: Path) -> None:
    model = wavenet()
    with pytest.raises(ValueError, match="prompt has 70 samples and the whole sound 60"):
        model.sample(1, prompt=tone(1, 70))
    with pytest.raises(ValueError, match=r"prompt has shape \(2, 1, 60\); expected"):
        model.stream(3, prompt=tone(2))
    with pytest.raises(ValueError, match="block is 0 samples"):
        model.stream(block=0)
    with pytest.raises(ValueError, match="another network"):
        wavenet(layers=2).stream(state=model.stream(1).state)
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    for name in ("noise.safetensors", "absent.safetensors"):
        with pytest.raises(ValueError, match="holds no state of a stream"):
            StreamState.load(tmp_path / name)
    with pytest.raises(ValueError, match="one tap sees no past"):
        WaveNetConfig(kernel=1)
    with pytest.raises(ValueError, match="must be 1 or more"):
        WaveNetConfig(stacks=0)
    with pytest.raises(ValueError, match="makes sound"):
        WaveNet(SMALL, DataSpec(kind="image", shape=(1, 8, 8)))
    with pytest.raises(ValueError, match="2 channels"):
        WaveNet(SMALL, DataSpec(kind="audio", shape=(2, 60), sample_rate=8000))
    with pytest.raises(ValueError, match="conditioned on the class"):
        wavenet(conditional=True).log_prob(tone())
