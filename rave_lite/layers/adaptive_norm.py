"""Adaptive instance normalisation: the statistics of what is played, exchanged for those of another sound."""

import torch
from torch import Tensor, nn

SOURCE, TARGET = 0, 1  # sides: what is played, and the sound whose statistics it gets


def exchange(mean: Tensor, variance: Tensor, amount: Tensor, epsilon: float = 1e-5) -> Tensor:
    """`(2, ..., C)` by side, and 0 to 1, to `(3, ..., C)`: what to subtract from each channel, multiply it by, and add."""
    deviation = variance.clamp_min(0.0).sqrt()
    ratio = deviation[1] / (deviation[0] + epsilon)
    centre = mean[0] * (amount > 0)
    return torch.stack([centre, 1 + amount * (ratio - 1), centre + amount * (mean[1] - mean[0])])


class AdaptiveNorm(nn.Module):
    """Moves and scales each channel from the source's mean and deviation to the target's. `(B, C, T) -> (B, C, T)`.

    Huang and Belongie, ICCV 2017 (arXiv 1703.06868). The identity in training, and until both sides have statistics, which
    only streaming copies learn. `mean`, `variance`, `frames`: by side.
    """

    mean: Tensor
    variance: Tensor
    frames: Tensor

    def __init__(self, channels: int):
        super().__init__()
        for name in ("mean", "variance"):
            self.register_buffer(name, torch.zeros(2, channels))
        self.register_buffer("frames", torch.zeros(2, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.training or not bool(self.frames.all()):
            return x
        centre, factor, shift = exchange(self.mean, self.variance, torch.ones_like(self.frames[0])).unsqueeze(2).unbind()
        return torch.addcmul(shift, x - centre, factor).to(x.dtype)

    def forget(self) -> None:
        """Forget both sides' statistics."""
        for value in self.buffers():
            value.zero_()

    def streaming(self, batch_size: int) -> nn.Module:
        return StreamingNorm(self)


class StreamingNorm(nn.Module):
    """An `AdaptiveNorm` that learns statistics while it plays, `(B, C, T) -> (B, C, T)`.

    Those of a side are of all its frames so far, of all streams. A frame is moved by the source's statistics up to and with
    itself, and not at all while the target is learned: so neither depends on the lengths of blocks. All is in buffers,
    which are written in place. Not an operation until both sides have statistics or `set_learning` switches one on.
    """

    mean: Tensor
    variance: Tensor
    frames: Tensor
    learning: Tensor
    amount: Tensor
    settled: Tensor

    def __init__(self, norm: AdaptiveNorm):
        super().__init__()
        for name, value in norm.named_buffers():
            self.register_buffer(name, value.clone(), persistent=False)
        self.register_buffer("learning", torch.zeros_like(self.frames), persistent=False)
        self.register_buffer("amount", torch.ones_like(self.frames[0]), persistent=False)
        self.register_buffer("settled", torch.zeros_like(self.mean[:1]).repeat(3, 1).view(3, 1, 1, -1), persistent=False)
        self.active, self.learns = bool(self.frames.all()), False
        self.settle()

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            return x
        centre, factor, shift = self.settings(x.permute(2, 0, 1)).unbind()
        return torch.addcmul(shift, x.permute(2, 0, 1) - centre, factor).permute(1, 2, 0).to(x.dtype)

    @torch.jit.export
    def settings(self, x: Tensor) -> Tensor:
        """Those of `exchange` for frames `(T, B, C)`, which are counted first: `(3, T or 1, 1, C)`."""
        if not self.learns:
            return self.settled
        x = x.to(self.mean.dtype)
        start = torch.where(self.frames > 0, self.mean, x[0].mean(0)).unsqueeze(1)  # (2, 1, C): differences are small
        difference, learning = x - start.unsqueeze(2), self.learning.unsqueeze(1)  # (2, T, B, C)
        count = learning * x.shape[1] * torch.arange(1, x.shape[0] + 1, device=x.device).view(1, -1, 1)
        frames = self.frames.unsqueeze(1) + count
        total = frames.clamp_min(1.0)
        moved = learning * difference.sum(2).cumsum(1) / total
        squares = learning * difference.square().sum(2).cumsum(1)
        variance = self.variance.unsqueeze(1)
        variance = variance + (squares - count * variance) / total - moved * moved
        mean = start + moved
        settings = exchange(mean, variance, self.share(frames)).unsqueeze(2)
        self.mean.copy_(mean[:, -1])
        self.variance.copy_(variance[:, -1])
        self.frames.copy_(frames[:, -1])
        self.settled.copy_(settings[:, -1:])
        return settings

    def share(self, frames: Tensor) -> Tensor:
        """How far frames are moved, after so many of each side: `(2, ...) -> (...)`."""
        return self.amount * (1 - self.learning[1]) * (frames > 0).all(0)

    def settle(self) -> None:
        """Let what was set take effect."""
        self.settled.copy_(exchange(self.mean, self.variance, self.share(self.frames)).view(3, 1, 1, -1))

    @torch.jit.export
    def turn(self, name: str, value: float) -> None:
        """Set an attribute of exported files: `learn_source`, `learn_target`, `reset_source`, `reset_target` or `adapt`."""
        if name == "adapt":
            self.set_amount(value)
        elif name == "learn_source" or name == "learn_target":
            self.set_learning(int(name == "learn_target"), value)
        elif value > 0.0:
            self.forget(int(name == "reset_target"))

    @torch.jit.export
    def set_learning(self, side: int, value: float) -> None:
        """Gather the statistics of `SOURCE` or `TARGET` from now on (1), or keep them as they are (0)."""
        self.learning[side].fill_(value)
        self.learns = bool(self.learning.any())
        self.active = self.active or self.learns
        self.settle()

    @torch.jit.export
    def set_amount(self, value: float) -> None:
        """How far the channels are moved, 0 to 1; 1 at first."""
        self.amount.fill_(value)
        self.settle()

    @torch.jit.export
    def forget(self, side: int) -> None:
        """Forget the statistics of a side; without them this is the identity."""
        for statistic in (self.mean, self.variance, self.frames):
            statistic[side].zero_()
        self.settle()
