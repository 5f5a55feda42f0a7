"""Encoder: bands to latent parameters."""

from typing import Any

from torch import Tensor, nn

from rave_lite.layers import Conv1d, ResidualUnit, leaky_relu


class Encoder(nn.Module):
    """RAVE v2's encoder. `(B, n_bands, T) -> (B, out_channels, T / prod(ratios))`; `delay` in output frames."""

    def __init__(self, n_bands: int, out_channels: int, *, capacity: int, ratios: list[int],
                 dilations: list[list[int]], alignment: str = "causal", delay: int = 0):
        super().__init__()
        layers: list[Any] = [Conv1d(n_bands, capacity, 7, alignment=alignment, delay=delay)]
        delay, channels = layers[-1].delay, capacity
        for ratio, stack in zip(ratios, dilations, strict=True):
            for dilation in stack:
                unit = ResidualUnit(channels, dilation=dilation, alignment=alignment, delay=delay)
                layers, delay = [*layers, unit], unit.delay
            down = Conv1d(channels, 2 * channels, 2 * ratio, stride=ratio, alignment=alignment, delay=delay)
            layers, delay, channels = [*layers, leaky_relu(), down], down.delay, 2 * channels
        last = Conv1d(channels, out_channels, 3, alignment=alignment, delay=delay)
        self.net = nn.Sequential(*layers, leaky_relu(), last)
        self.delay = last.delay

    def forward(self, bands: Tensor) -> Tensor:
        return self.net(bands)
