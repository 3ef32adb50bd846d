"""torch's LSTM, on every processor in both precisions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


class LSTM(nn.LSTM):
    """In float32 under bfloat16 autocast where the processor has no instructions for it, as torch then has no kernel:
    AVX2 without AVX-512."""

    def forward(self, input: Tensor, hx: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        lacking = input.device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
        if not lacking or not torch.is_autocast_enabled("cpu"):
            return super().forward(input, hx)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float(), None if hx is None else (hx[0].float(), hx[1].float()))
