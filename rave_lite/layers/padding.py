"""Causal padding: the only padding of the network, and its only state when streaming.

Every layer with memory owns a `CausalPad`. Offline it stands for silence; `stream` replaces each by a `StreamingPad` that
holds the end of the previous block. By induction over layers, streaming from the empty state equals the offline pass.
"""

import copy
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class CausalPad(nn.Module):
    """Zeros in place of the samples before the first. `(B, C, T) -> (B, C, length + T)`; `length`: frames.

    Of length 0 it returns `x` itself.
    """

    def __init__(self, channels: int, length: int):
        super().__init__()
        self.channels = channels
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        return Pad.apply(x, self.length) if self.length else x

    def streaming(self, batch_size: int) -> nn.Module:
        return StreamingPad(self.channels, self.length, batch_size) if self.length else nn.Identity()

    def extra_repr(self) -> str:
        return f"channels={self.channels}, length={self.length}"


class Pad(torch.autograd.Function):
    """`F.pad(x, (length, 0))`, whose gradient is a view: autograd's own is a copy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, length: int) -> Tensor:
        ctx.length = length
        return F.pad(x, (length, 0))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient[..., ctx.length :], None


class StreamingPad(nn.Module):
    """The last `length` frames of up to `batch_size` streams. `(B, C, T) -> (B, C, length + T)`, B <= batch_size.

    The cache is allocated once and written in place, so it survives TorchScript, devices and CUDA graphs. It lies frame by
    frame (channels last), and so does the output: the matrix products of `MatrixConv` read it without a copy.
    """

    cache: Tensor

    def __init__(self, channels: int, length: int, batch_size: int):
        super().__init__()
        self.length = length
        self.register_buffer("cache", torch.zeros(batch_size, length, channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        cache = self.cache[: x.shape[0]]
        x = torch.cat([cache, x.transpose(1, 2)], 1)
        cache.copy_(x[:, -self.length :])
        return x.transpose(1, 2)


def stream(module: Module, batch_size: int = 1) -> Module:
    """A streaming copy of `module`: same weights (weight norm folded), its own memory, ready to script.

    Feed it consecutive blocks, each a multiple of the module's hop; their outputs concatenated equal the offline pass.
    `batch_size`: the largest number of independent streams. A layer's method `streaming(batch_size)` returns its
    replacement in the copy; its children have been replaced before.
    """
    reference = next(iter([*module.parameters(), *module.buffers()]), torch.zeros(()))
    live = _swap(copy.deepcopy(module), batch_size).eval().requires_grad_(False)
    for salt, source in enumerate(part for part in live.modules() if hasattr(part, "salt")):
        source.salt = salt  # type: ignore[assignment]  # no two noise sources are equal
    return live.to(reference.device, reference.dtype if reference.is_floating_point() else None)  # type: ignore[return-value]


def _swap(module: nn.Module, batch_size: int) -> nn.Module:
    for name, child in list(module.named_children()):
        setattr(module, name, _swap(child, batch_size))
    return module.streaming(batch_size) if hasattr(module, "streaming") else module  # type: ignore[operator]


def reset(module: nn.Module) -> None:
    """Forget every stream and restart the noise: the next block is treated as the first."""
    for part in module.modules():
        for memory in ("cache", "position"):
            if hasattr(part, memory):
                getattr(part, memory).zero_()
