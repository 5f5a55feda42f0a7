"""Decoder: latents to bands."""

from typing import Any

import torch
from torch import Tensor, nn

from rave_lite.layers import CausalPad, Conv1d, ConvTranspose1d, NoiseSynth, ResidualStack, make_activation


class Decoder(nn.Module):
    """RAVE v2's decoder, which mirrors the encoder. `(B, in_channels, T) -> (B, n_bands, T * prod(ratios))`.

    `ratios` and `dilations` are the encoder's, in its order. The waveform is multiplied by a sigmoid amplitude, joined
    by filtered noise where `noise` gives `NoiseSynth` its ratios, hidden and filter_bands, and bounded to `limit` by tanh.
    `band_gain` `(n_bands, 1)`: factor of each band before that, so that quiet bands are learned as fast as loud ones.
    The argument `delay` is in latent frames, the attribute in band samples.
    """

    band_gain: Tensor

    def __init__(self, n_bands: int, in_channels: int, *, capacity: int, ratios: list[int], dilations: list[list[int]],
                 noise: dict[str, Any] | None = None, activation: str = "leaky_relu", alignment: str = "causal",
                 limit: float = 1.0, delay: int = 0):
        super().__init__()
        channels = capacity * 2 ** len(ratios)
        layer: dict[str, Any] = {"activation": activation, "alignment": alignment}
        self.first = Conv1d(in_channels, channels, 3, **layer, delay=delay)
        self.stages, delay = nn.Sequential(), self.first.delay
        for ratio, stack in zip(reversed(ratios), reversed(dilations), strict=True):
            stage = DecoderStage(channels, ratio=ratio, dilations=stack, **layer, delay=delay)
            self.stages.append(stage)
            delay, channels = stage.units.delay, channels // 2
        self.activation = make_activation(activation, channels)
        self.waveform = Conv1d(channels, 2 * n_bands, 7, **layer, delay=delay)
        with torch.no_grad():
            self.waveform.weight = self.waveform.weight * 0.1  # start quiet
        self.register_buffer("band_gain", torch.ones(n_bands, 1))
        self.limit, self.delay = limit, self.waveform.delay
        self.noise = NoiseSynth(channels, n_bands, **noise, **layer, delay=delay) if noise else None
        if self.noise is not None:
            self.delay = max(self.waveform.delay, self.noise.delay)
            self.noise_skew = CausalPad(n_bands, self.delay - self.noise.delay)
        self.waveform_skew = CausalPad(n_bands, self.delay - self.waveform.delay)

    def forward(self, z: Tensor) -> Tensor:
        x = self.activation(self.stages(self.first(z)))
        waveform, amplitude = self.waveform(x).chunk(2, 1)
        y = self.waveform_skew(waveform * torch.sigmoid(amplitude))[..., : x.shape[-1]]
        if self.noise is not None:
            y = y + self.noise_skew(self.noise(x))[..., : x.shape[-1]]
        return self.limit * torch.tanh((self.band_gain / self.limit).to(y.dtype) * y)


class DecoderStage(nn.Module):
    """An upsampling layer before residual units. `(B, C, T) -> (B, C / 2, T * ratio)`."""

    def __init__(self, channels: int, *, ratio: int, dilations: list[int], activation: str, alignment: str, delay: int):
        super().__init__()
        layer: dict[str, Any] = {"activation": activation, "alignment": alignment}
        self.activation = make_activation(activation, channels)
        self.up = ConvTranspose1d(channels, channels // 2, ratio, **layer, delay=delay)
        self.units = ResidualStack(channels // 2, dilations, **layer, delay=self.up.delay)

    def forward(self, x: Tensor) -> Tensor:
        return self.units(self.up(self.activation(x)))
