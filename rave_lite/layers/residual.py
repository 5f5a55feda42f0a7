"""The residual units of encoder and decoder."""

import torch
from torch import Tensor, nn

from rave_lite.layers.activation import make_activation
from rave_lite.layers.conv import Conv1d
from rave_lite.layers.padding import CausalPad


class ResidualUnit(nn.Module):
    """`x + conv1(act(conv3_dilated(act(x))))`, the skip delayed as much as the branch. `(B, C, T) -> (B, C, T)`."""

    def __init__(self, channels: int, *, dilation: int, kernel_size: int = 3, activation: str = "leaky_relu",
                 alignment: str = "causal", delay: int = 0):
        super().__init__()
        wide = Conv1d(channels, channels, kernel_size, dilation=dilation, activation=activation, alignment=alignment,
                      delay=delay)
        out = Conv1d(channels, channels, 1, activation=activation)
        with torch.no_grad():
            out.weight = out.weight * 0.3
        self.branch = nn.Sequential(make_activation(activation, channels, inplace=False), wide,
                                    make_activation(activation, channels), out)
        self.skip = CausalPad(channels, wide.delay - delay)
        self.delay = wide.delay

    def forward(self, x: Tensor) -> Tensor:
        skip = self.skip(x)
        if skip.shape[-1] != x.shape[-1]:  # autograd would copy even for a slice that takes all
            skip = skip[..., : x.shape[-1]]
        return self.branch(x).add_(skip)


class ResidualStack(nn.Sequential):
    """Residual units, one for each of `dilations`. `(B, C, T) -> (B, C, T)`."""

    def __init__(self, channels: int, dilations: list[int], *, activation: str = "leaky_relu", alignment: str = "causal",
                 delay: int = 0):
        super().__init__()
        for dilation in dilations:
            unit = ResidualUnit(channels, dilation=dilation, activation=activation, alignment=alignment, delay=delay)
            self.append(unit)
            delay = unit.delay
        self.delay = delay
