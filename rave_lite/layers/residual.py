"""The residual units of encoder and decoder."""

from itertools import chain

import torch
from torch import Tensor, nn

from rave_lite.layers.activation import make_activation
from rave_lite.layers.adaptive_norm import AdaptiveNorm
from rave_lite.layers.conv import Conv1d
from rave_lite.layers.padding import CausalPad

Dilation = int | list[int]


class ResidualUnit(nn.Module):
    """`x + conv1(act(conv3_dilated(act(x))))`, the skip delayed as much as the branch. `(B, C, T) -> (B, C, T)`.

    `dilation`: of a convolution before one of kernel 1; or a list: of a convolution of kernel 3 for each, as in RAVE v1.
    `adaptive_norm`: whether an `AdaptiveNorm` comes first.
    """

    def __init__(self, channels: int, *, dilation: Dilation, activation: str = "leaky_relu", alignment: str = "causal",
                 adaptive_norm: bool = False, delay: int = 0):
        super().__init__()
        self.norm = AdaptiveNorm(channels) if adaptive_norm else nn.Identity()
        activation = "leaky_relu" if activation == "snake_between" else activation
        shapes = [(3, dilation), (1, 1)] if isinstance(dilation, int) else [(3, d) for d in dilation]
        layers: list[Conv1d] = []
        for kernel_size, d in shapes:
            layers.append(Conv1d(channels, channels, kernel_size, dilation=d, activation=activation, alignment=alignment,
                                 delay=layers[-1].delay if layers else delay))
        with torch.no_grad():
            layers[-1].weight = layers[-1].weight * 0.3
        activations = [make_activation(activation, channels, inplace=i > 0) for i in range(len(layers))]
        self.branch = nn.Sequential(*chain(*zip(activations, layers, strict=True)))
        self.delay = layers[-1].delay
        self.skip = CausalPad(channels, self.delay - delay)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        skip = self.skip(x)
        if skip.shape[-1] != x.shape[-1]:  # autograd would copy even for a slice that takes all
            skip = skip[..., : x.shape[-1]]
        return self.branch(x).add_(skip)


class ResidualStack(nn.Sequential):
    """Residual units, one for each of `dilations`. `(B, C, T) -> (B, C, T)`."""

    def __init__(self, channels: int, dilations: list[Dilation], *, activation: str = "leaky_relu",
                 alignment: str = "causal", adaptive_norm: bool = False, delay: int = 0):
        super().__init__()
        for dilation in dilations:
            unit = ResidualUnit(channels, dilation=dilation, activation=activation, alignment=alignment,
                                adaptive_norm=adaptive_norm, delay=delay)
            self.append(unit)
            delay = unit.delay
        self.delay = delay
