"""WaveNet: sound, sample by sample, by a stack of dilated causal convolutions.

van den Oord, Dieleman, Zen, Simonyan, Vinyals, Graves, Kalchbrenner, Senior & Kavukcuoglu, WaveNet: A Generative Model
for Raw Audio, 2016, arXiv:1609.03499. Sampling with each activation computed once: Paine et al., Fast Wavenet, 2016,
arXiv:1611.09482.

Done differently: symbols are embedded, which is the paper's first convolution with kernel 1, by cosines of the
amplitude to begin with, so that neighbouring levels are alike from the first round on; the 1x1 convolutions of
residuals and skips have no bias, for one follows each of them. In training on long sounds all predictions that count
see their whole field, as they do when sampled, and not a field cut off at the border of a crop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, isfinite, log

import torch
from torch import Tensor

from genwerk.core.abilities import Diagnoses
from genwerk.core.model import Loss, Player, TrainingStream, Turn, Turns
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.options import Options, Streamed
from genwerk.core.spec import Batch, DataSpec
from genwerk.families.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genwerk.nn.autoregressive.stream import Stream, StreamState, uniform
from genwerk.nn.autoregressive.tokeniser import MuLaw
from genwerk.nn.autoregressive.wavenet import WaveNetNetwork

GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig(AutoregressiveConfig):
    """Settings of :class:`WaveNet`. Layer i of a stack has dilation 2^i."""

    stacks: int = 2
    """How often the dilations start again at 1."""
    layers: int = 10
    """Layers a stack; the largest dilation is 2^(layers - 1)."""
    kernel: int = 2
    """Taps of a dilated convolution."""
    residual: int = 32
    """Channels that pass from layer to layer, and numbers that a symbol is embedded as."""
    gate: int = 32
    """Gated channels of a layer."""
    skip: int = 128
    """Channels that all layers add up for the output."""
    head: int = 128
    """Channels between the two 1x1 convolutions of the output."""
    crop: int = 0
    """Samples of a sound that a round trains on, with the receptive field before them; 0 is the whole sound."""

    def __post_init__(self) -> None:
        if self.kernel < 2:
            raise ValueError(f"the kernel is {self.kernel}; it must be 2 or more, for one tap sees no past")
        if min(self.stacks, self.layers, self.residual, self.gate, self.skip, self.head) < 1 or self.crop < 0:
            raise ValueError("stacks, layers and widths of a WaveNet must be 1 or more, and its crop 0 or more")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of every layer."""
        return tuple(2**i for i in range(self.layers)) * self.stacks


class WaveNet(AutoregressiveModel, Diagnoses, config=WaveNetConfig):
    """p(x) = prod_t p(x_t | x_{t-field} .. x_{t-1}) over mu-law samples of mono sound."""

    network: WaveNetNetwork
    options: Streamed = Streamed()

    def __init__(self, config: WaveNetConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: WaveNetConfig = config
        if not spec.modality.is_sequence:
            raise ValueError(f"a WaveNet makes sound and cannot take {spec}; give it a folder of wav or flac files")
        symbols = MuLaw(spec)
        network = WaveNetNetwork(
            symbols.shape[0],
            symbols.levels,
            dilations=config.dilations,
            kernel=config.kernel,
            residual=config.residual,
            gate=config.gate,
            skip=config.skip,
            head=config.head,
            classes=self.condition.classes,
        )
        length = network.field + 3
        positions = (length // 2, length - 2, length - 1)
        self.emits(symbols, network, lambda: self._narrow(length), *positions)
        wanted = sum(min(p, network.field) for p in positions) / sum(positions)
        if abs(self.coverage - wanted) > 1e-9:
            raise ValueError(f"a WaveNet of dilations {config.dilations} sees {self.coverage} of what it should see")

    def _narrow(self, length: int) -> WaveNetNetwork:
        """A network of the same dilations, as narrow as can be, for sounds of two levels."""
        config = self.config
        narrow = {"residual": 2, "gate": 2, "skip": 32, "head": 32, "classes": self.condition.classes}
        return WaveNetNetwork(length, 2, dilations=config.dilations, kernel=config.kernel, **narrow)

    @property
    def receptive_field(self) -> int:
        """Number of samples before a sample that its prediction sees."""
        return self.network.field

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        first, stop = self.crop(players["model"].steps)
        yield Turn("model", self.excerpt, stream.next_batch(), first=first, stop=stop)

    def crop(self, step: int) -> tuple[int, int]:
        """First sample, and the one after the last, of the part that is learned from at ``step``.

        Parts tile the sound, so that each sample counts alike; multiples of the golden ratio visit them evenly.
        """
        length = self.network.length
        size = min(self.config.crop or length, length)
        part = int(step * GOLDEN % 1 * ceil(length / size))
        first = min(part * size, length - size)
        return first, first + size

    def excerpt(self, batch: Batch, first: int, stop: int) -> Loss:
        """Negative log-likelihood in nats an example, estimated from samples ``first`` to ``stop`` - 1."""
        start = max(0, first - self.receptive_field)
        symbols = self.symbols.encode(batch.x[..., start:stop])
        log_p = self.network.log_prob(symbols, self.condition.check(batch.condition, self), first - start).mean()
        nll = -log_p * self.network.length
        return nll, {"nll": nll, "bits per symbol": -log_p / log(2)}

    # --- abilities ----------------------------------------------------------------------------------------------------

    def sample(
        self,
        n: int,
        condition: Tensor | None = None,
        options: Options = None,
        *,
        seed: Seed | None = None,
        prompt: Tensor | None = None,
    ) -> Tensor:
        """``n`` sounds with shape (n, 1, length): as long as the data's, unless ``options`` say otherwise.

        ``prompt``, with shape (1 or n, 1, t), is how they begin; see :meth:`stream`.
        """
        length = self.length(options)
        known = torch.empty(n, 1, 0) if prompt is None else prompt.expand(n, -1, -1)
        missing = length - known.shape[2]
        if missing < 0:
            raise ValueError(
                f"the prompt has {known.shape[2]} samples and the whole sound {length}; give a shorter prompt or a "
                "greater length"
            )
        made = self.stream(n, condition, options, seed=seed, prompt=prompt).read(missing)
        return torch.cat([known.to(made), made], 2)

    def length(self, options: Options = None) -> int:
        """Samples of a sound that is drawn with ``options``."""
        seconds = self.options.chosen(options).seconds
        if seconds is None:
            return self.network.length
        length = round(seconds * self.spec.sample_rate) if isfinite(seconds) else 0
        if length < 1:
            raise ValueError(f"{seconds:g} seconds hold no sample at {self.spec.sample_rate:,} a second; ask for more")
        return length

    def trace(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Iterator[Tensor]:
        """A frame after every eighth of the sound; the rest is silent."""
        length = self.length(options)
        part = max(1, length // 8)
        stream = self.stream(n, condition, options, seed=seed)
        x = torch.zeros(n, self.spec.shape[0], length, device=self.device)
        for start in range(0, length, part):
            x[..., start : start + part] = stream.read(min(part, length - start))
            yield x.clone()

    def stream(
        self,
        n: int = 1,
        condition: Tensor | None = None,
        options: Options = None,
        *,
        block: int = 4000,
        seed: Seed | None = None,
        prompt: Tensor | None = None,
        state: StreamState | None = None,
    ) -> Stream:
        """Endless blocks with shape (n, 1, block), which in a row are the sample of ``seed`` that is as long.

        ``prompt``, with shape (1 or n, 1, t), is what they continue; it is not returned, and only its last receptive
        field is read, for no prediction sees more. ``state``, in place of all other beginnings, resumes an earlier
        stream (:attr:`Stream.state`).
        """
        chosen = self.options.chosen(options)
        if state is not None:
            label = self.condition.check(state.label, self)
            cache, generators = state.resume(self.network, label)
            return Stream(self.network, self.symbols, cache, generators, label, block=block, options=chosen)
        if prompt is not None and (prompt.dim() != 3 or prompt.shape[1] != 1 or len(prompt) not in (1, n)):
            raise ValueError(f"the prompt has shape {tuple(prompt.shape)}; expected (1, 1, t), or ({n}, 1, t)")
        generators = SeededNoise(n, seed).generators
        label = self.condition.or_drawn(condition, lambda: uniform(generators, 1)[:, 0].to(self.device), self)
        heard = torch.empty(1, 1, 0) if prompt is None else prompt
        cache = self.network.prefill(self.symbols.encode(heard.to(self.device)).expand(n, -1), label)
        return Stream(self.network, self.symbols, cache, generators, label, block=block, options=chosen)

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """The receptive field, in samples and (where the sample rate is known) in milliseconds."""
        found = {"receptive field in samples": torch.tensor(float(self.receptive_field))}
        if self.spec.sample_rate:
            found["receptive field in milliseconds"] = torch.tensor(1000 * self.receptive_field / self.spec.sample_rate)
        return found
