"""The discriminator of texts, against its definition written as loops."""

from __future__ import annotations

import pytest
import torch

from genwerk.core.errors import BadSetting
from genwerk.nn.adversarial.text_cnn import TextCNN, TextCNNConfig


def small(length: int = 5, classes: int = 0) -> TextCNN:
    torch.manual_seed(0)
    config = TextCNNConfig(embedding=4, widths=(1, 3, 7), filters=(2, 5, 3))
    return TextCNN(length, 9, config, classes=classes).double()


def test_the_equations() -> None:
    """c_s = relu(W . rows s to s + l - 1 + b), f = max over s; t = sigmoid(W_T f), t relu(W_H f) + (1 - t) f."""
    network = small().eval()
    x = torch.randint(9, (3, 5), generator=torch.Generator().manual_seed(1))
    for text, score in zip(x, network(x), strict=True):
        vectors, f = network.table.weight[text], []
        for kernel in network.kernels:
            width = kernel.weight.shape[2]
            windows = [vectors[s : s + width].T for s in range(5 - width + 1)]
            f += [
                max((w * window).sum() + b for window in windows).clamp(min=0)
                for w, b in zip(kernel.weight, kernel.bias, strict=True)
            ]
        pooled = torch.stack(f)
        t = (network.gate.weight @ pooled + network.gate.bias).sigmoid()
        h = (network.transform.weight @ pooled + network.transform.bias).relu()
        out = network.head.linear.weight[0] @ (t * h + (1 - t) * pooled) + network.head.linear.bias[0]
        torch.testing.assert_close(score, out)


def test_kernels_fit_the_texts() -> None:
    assert [kernel.kernel_size[0] for kernel in small(5).kernels] == [1, 3]
    assert [kernel.kernel_size[0] for kernel in small(7).kernels] == [1, 3, 7]
    assert TextCNN(20, 3, TextCNNConfig()).gate.in_features == 1720  # as published


def test_a_label_counts() -> None:
    network, x = small(classes=2).eval(), torch.arange(5)[None]
    assert not torch.equal(network(x, torch.tensor([0])), network(x, torch.tensor([1])))


def test_kernels_that_fit_nothing_are_refused() -> None:
    with pytest.raises(BadSetting, match="fits into 5 tokens"):
        TextCNN(5, 9, TextCNNConfig(widths=(6,), filters=(2,)))
    with pytest.raises(BadSetting, match="2 numbers for 1 widths"):
        TextCNNConfig(widths=(1,), filters=(2, 2))


def test_dropout_is_for_training_alone() -> None:
    network, x = small(), torch.arange(5)[None]
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
