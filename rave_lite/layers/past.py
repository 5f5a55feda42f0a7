"""What came before: the only padding in the network, and the only state when it streams.

Every layer with memory owns a `Past`. Offline it stands for silence; `stream` replaces each by a `CachedPast` that
remembers the end of the previous block. By induction over layers, streaming from the empty state equals the offline pass.
"""

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

Module = TypeVar("Module", bound=nn.Module)


class Past(nn.Module):
    """Zeros standing for what came before the first sample. `(B, C, T) -> (B, C, length + T)`; `length`: frames."""

    def __init__(self, channels: int, length: int):
        super().__init__()
        self.channels = channels
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (self.length, 0))

    def extra_repr(self) -> str:
        return f"channels={self.channels}, length={self.length}"


class CachedPast(nn.Module):
    """The last `length` frames of up to `batch_size` streams. `(B, C, T) -> (B, C, length + T)`, B <= batch_size.

    The cache is allocated once and written in place, so it survives TorchScript, freezing, devices and CUDA graphs.
    """

    cache: Tensor

    def __init__(self, channels: int, length: int, batch_size: int):
        super().__init__()
        self.length = length
        self.register_buffer("cache", torch.zeros(batch_size, channels, length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        cache = self.cache[: x.shape[0]]
        x = torch.cat([cache, x], -1)
        cache.copy_(x[..., -self.length :])
        return x


def stream(module: Module, batch_size: int = 1) -> Module:
    """A streaming copy of `module`: same weights (weight norm folded), its own memory, ready to script.

    Feed it consecutive blocks, each a multiple of the module's hop; their outputs concatenated equal the offline pass.
    `batch_size`: the most independent streams it can hold.
    """
    live = copy.deepcopy(module).eval().requires_grad_(False)
    like = next(iter([*live.parameters(), *live.buffers()]), torch.zeros(()))
    for owner in list(live.modules()):
        fold_weight_norm(owner)
        for name, child in list(owner.named_children()):
            if isinstance(child, Past) and child.length:
                cached = CachedPast(child.channels, child.length, batch_size)
                setattr(owner, name, cached.to(like.device, like.dtype if like.is_floating_point() else None))
    return live.eval()


def reset(module: nn.Module) -> None:
    """Forget every stream: the next block is treated as the first."""
    for part in module.modules():
        if isinstance(part, CachedPast):
            part.cache.zero_()


def fold_weight_norm(module: nn.Module) -> None:
    """Replace a weight-normalised `weight` by its value, in place.

    Not `remove_parametrizations`: that edits the class, which copies share, and would break the module copied from.
    """
    if parametrize.is_parametrized(module, "weight"):
        weight: Tensor = module.weight.detach()  # type: ignore[operator, union-attr, assignment]
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
        module.register_parameter("weight", nn.Parameter(weight, requires_grad=False))
