"""Adaptive instance normalisation: the statistics of what is played, exchanged for those of another sound."""

from typing import Final

import torch
from torch import Tensor, nn

SOURCE, TARGET = 0, 1  # sides: what is played, and the sound whose statistics it gets


class AdaptiveNorm(nn.Module):
    """Moves and scales each channel from the source's mean and deviation to the target's. `(B, C, T) -> (B, C, T)`.

    Huang and Belongie, ICCV 2017 (arXiv 1703.06868), for streams: the statistics of a side are running means over all frames
    that come while it learns, the same for any length of block. They lie in buffers that are written in place and not saved,
    shared by all streams. The identity in training, and until both sides have statistics. Not an operation before
    `set_learning` is first called; afterwards always the same ones, whatever learns.
    """

    epsilon: Final[float] = 1e-5
    moments: Tensor
    frames: Tensor
    learning: Tensor
    amount: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.active = False
        self.register_buffer("moments", torch.zeros(2, 2 * channels, 1), persistent=False)  # mean and mean square, by side
        self.register_buffer("frames", torch.zeros(2, 1, 1), persistent=False)
        self.register_buffer("learning", torch.zeros(2, 1, 1), persistent=False)
        self.register_buffer("amount", torch.ones(1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training or not self.active:
            return x
        wide = x.to(self.moments.dtype)
        of_block = torch.cat([wide.mean((0, 2)), wide.square().mean((0, 2))]).unsqueeze(1)
        count = self.learning * (x.shape[0] * x.shape[2])
        self.frames.add_(count)
        self.moments.add_((of_block - self.moments) * (count / self.frames.clamp_min(1.0)))
        mean, square = self.moments.chunk(2, 1)
        deviation = torch.sqrt((square - mean * mean).clamp_min(0.0) + self.epsilon)
        ratio, known = deviation[1] / deviation[0], self.amount * (self.frames[0] * self.frames[1] > 0)
        factor, shift = 1 + known * (ratio - 1), known * (mean[1] - mean[0] * ratio)
        return torch.addcmul(shift, wide, factor).to(x.dtype)

    @torch.jit.export
    def set_learning(self, side: int, value: float) -> None:
        """Gather the statistics of `SOURCE` or `TARGET` from now on (1), or keep them as they are (0)."""
        self.active = True
        self.learning[side].fill_(value)

    @torch.jit.export
    def set_amount(self, value: float) -> None:
        """How far the channels are moved, 0 to 1; 1 at first."""
        self.amount.fill_(value)

    @torch.jit.export
    def forget(self, side: int) -> None:
        """Forget the statistics of a side; without them this is the identity."""
        self.frames[side].zero_()
        self.moments[side].zero_()
