"""Discriminators of phase 2: each returns its features, convolution outputs before activation, the score last."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.layers import weight_norm


class ConvStack(nn.Module):
    """Strided convolutions that double their channels, and a 1x1 head. `(B, 1, T) -> [features..., (B, 1, T')]`."""

    def __init__(self, capacity: int, kernel_size: int, *, layers: int = 4, stride: int = 4):
        super().__init__()
        channels = [1, *(capacity * 2**i for i in range(layers))]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv1d(a, b, kernel_size, stride=stride, padding=kernel_size // 2))
            for a, b in pairwise(channels))
        self.head = nn.Conv1d(channels[-1], 1, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for conv in self.convs:
            features.append(conv(x))
            x = F.leaky_relu(features[-1], 0.2)
        return [*features, self.head(x)]


class Discriminator(nn.Module):
    """Multi-period (Kong et al., HiFi-GAN, 2020) and multi-scale (MelGAN, 2019) together. `(B, 1, T)`.

    A 2-D convolution of kernel (k, 1) over the signal folded at a period is a 1-D one over each of its phases, which is
    how it is computed here. Scale s takes the signal average-pooled by `2 ** s`.
    """

    def __init__(self, *, capacity: int, periods: list[int], scales: int):
        super().__init__()
        self.periods = periods
        self.count = len(periods) + scales
        self.by_period = nn.ModuleList(ConvStack(capacity, 5) for _ in periods)
        self.by_scale = nn.ModuleList(ConvStack(capacity, 15) for _ in range(scales))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        features = []
        for period, stack in zip(self.periods, self.by_period, strict=True):
            folded = F.pad(x, (0, -x.shape[-1] % period)).unflatten(2, (-1, period))
            features.append(stack(folded.transpose(2, 3).flatten(0, 2).unsqueeze(1)))  # (B * period, 1, T / period)
        for scale, stack in enumerate(self.by_scale):
            features.append(stack(F.avg_pool1d(x, 2**scale)))
        return features
