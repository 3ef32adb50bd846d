"""A long short-term memory over tokens, whose state is all that it keeps while a text is written.

Hochreiter & Schmidhuber, Long Short-Term Memory, 1997; as a language model: Graves, Generating Sequences With Recurrent
Neural Networks, 2013, arXiv:1308.0850.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from genwerk.core.errors import check_ranges
from genwerk.nn.autoregressive.network import Cache
from genwerk.nn.autoregressive.text import TextNetwork, TextNetworkConfig
from genwerk.nn.lstm import LSTM


@dataclass(frozen=True, kw_only=True)
class LSTMConfig(TextNetworkConfig, kind="lstm"):
    """A long short-term memory."""

    embedding: int = 128
    """Numbers that a token becomes."""
    width: int = 256
    """Units of each layer."""
    layers: int = 1
    """Layers, one above the other."""
    init: float = 0.0
    """Standard deviation of the first weights, which are normal about 0; 0 leaves them as torch draws them."""

    def __post_init__(self) -> None:
        ranges = {"embedding": (1, 2**16), "width": (1, 2**16), "layers": (1, 100), "dropout": (0, 0.999)}
        check_ranges(self, "model.network", **ranges, init=(0, 10))

    def build(self, length: int, levels: int, *, end: int | None, classes: int) -> TextNetwork:
        return LSTMNetwork(length, levels, self, end=end, classes=classes)

    def narrow(self) -> LSTMConfig:
        return replace(self, embedding=3, width=4, layers=min(self.layers, 2), dropout=0.0)


class LSTMNetwork(TextNetwork):
    """Layers of an LSTM, and one linear layer to the logits.

    A subclass may tell it ``beside`` more numbers with every token.
    """

    def __init__(
        self, length: int, levels: int, config: LSTMConfig, *, end: int | None, classes: int, beside: int = 0
    ) -> None:
        super().__init__(length, levels, config.embedding, end=end, classes=classes, dropout=config.dropout)
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = LSTM(config.embedding + beside, config.width, config.layers, batch_first=True, dropout=between)
        self.head = nn.Linear(config.width, levels)
        if config.init:
            for weight in self.parameters():
                nn.init.normal_(weight, std=config.init)

    def states(self, x: Tensor) -> Tensor:
        states: Tensor = self.drop(self.lstm(x)[0])
        return states

    def predict(self, states: Tensor) -> Tensor:
        logits: Tensor = self.head(states)
        return logits

    # --- one by one ---------------------------------------------------------------------------------------------------

    def remember(self, n: int) -> dict[str, Tensor]:
        """The hidden and the cell state, each with shape (n, layers, width)."""
        shape = (n, self.lstm.num_layers, self.lstm.hidden_size)
        return {name: self.start.new_zeros(shape) for name in ("hidden", "cell")}

    def step(self, cache: Cache, x: Tensor) -> Tensor:
        hidden, cell = (cache.tensors[name].transpose(0, 1).contiguous() for name in ("hidden", "cell"))
        states, (hidden, cell) = self.lstm(x, (hidden, cell))
        cache.tensors |= {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}
        state: Tensor = states[:, -1]
        return state

    def take_in(self, cache: Cache, x: Tensor) -> None:
        self.step(cache, x)
