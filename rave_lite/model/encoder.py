"""Encoders: bands to latent parameters."""

from typing import Any

from torch import Tensor, nn

from rave_lite.layers import Conv1d, Dilation, ResidualStack, make_activation


class Encoder(nn.Module):
    """RAVE v2's encoder. `(B, n_bands, T) -> (B, out_channels, T / prod(ratios))`; `delay` in output frames."""

    def __init__(self, n_bands: int, out_channels: int, *, capacity: int, ratios: list[int],
                 dilations: list[list[Dilation]], activation: str = "leaky_relu", alignment: str = "causal",
                 adaptive_norm: bool = False, delay: int = 0):
        super().__init__()
        layer: dict[str, Any] = {"activation": activation, "alignment": alignment}
        self.first = Conv1d(n_bands, capacity, 7, **layer, delay=delay)
        self.stages, delay, channels = nn.Sequential(), self.first.delay, capacity
        for ratio, stack in zip(ratios, dilations, strict=True):
            stage = EncoderStage(channels, ratio=ratio, dilations=stack, **layer, adaptive_norm=adaptive_norm, delay=delay)
            self.stages.append(stage)
            delay, channels = stage.down.delay, 2 * channels
        self.activation = make_activation(activation, channels)
        self.last = Conv1d(channels, out_channels, 3, **layer, delay=delay)
        self.delay = self.last.delay

    def forward(self, bands: Tensor) -> Tensor:
        return self.last(self.activation(self.stages(self.first(bands))))


class EncoderStage(nn.Module):
    """Residual units before a strided layer. `(B, C, T) -> (B, 2 * C, T / ratio)`."""

    def __init__(self, channels: int, *, ratio: int, dilations: list[Dilation], activation: str, alignment: str,
                 adaptive_norm: bool, delay: int):
        super().__init__()
        layer: dict[str, Any] = {"activation": activation, "alignment": alignment}
        self.units = ResidualStack(channels, dilations, **layer, adaptive_norm=adaptive_norm, delay=delay)
        self.activation = make_activation(activation, channels)
        self.down = Conv1d(channels, 2 * channels, 2 * ratio, stride=ratio, **layer, delay=self.units.delay)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.units(x)))


class StridedEncoder(nn.Module):
    """RAVE v1's encoder: strided convolutions without weight norm, batch normalisation before all but the last.

    `(B, n_bands, T) -> (B, out_channels, T / prod(ratios))`; `groups`: of the last convolution. `dilations` and
    `adaptive_norm` are the decoder's. In training the batch's statistics normalise, else their running means.
    """

    def __init__(self, n_bands: int, out_channels: int, *, capacity: int, ratios: list[int],
                 dilations: list[list[Dilation]], groups: int = 1, activation: str = "leaky_relu",
                 alignment: str = "causal", adaptive_norm: bool = False, delay: int = 0):
        super().__init__()
        layer: dict[str, Any] = {"norm": False, "activation": activation, "alignment": alignment}
        self.first = Conv1d(n_bands, capacity, 7, **layer, delay=delay)
        self.stages, delay, channels = nn.Sequential(), self.first.delay, capacity
        for ratio in ratios:
            stage = StridedStage(channels, ratio=ratio, **layer, delay=delay)
            self.stages.append(stage)
            delay, channels = stage.down.delay, 2 * channels
        self.activation = make_activation(activation, channels)
        self.last = Conv1d(channels, out_channels, 5, groups=groups, **layer, delay=delay)
        self.delay = self.last.delay

    def forward(self, bands: Tensor) -> Tensor:
        return self.last(self.activation(self.stages(self.first(bands))))


class StridedStage(nn.Module):
    """Batch normalisation before a strided layer. `(B, C, T) -> (B, 2 * C, T / ratio)`."""

    def __init__(self, channels: int, *, ratio: int, norm: bool, activation: str, alignment: str, delay: int):
        super().__init__()
        self.normalise = nn.BatchNorm1d(channels)
        self.activation = make_activation(activation, channels)
        self.down = Conv1d(channels, 2 * channels, 2 * ratio + 1, stride=ratio, norm=norm, activation=activation,
                           alignment=alignment, delay=delay)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.normalise(x)))


ENCODERS = {"residual": Encoder, "strided": StridedEncoder}
