"""Decoders: latents to bands."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rave_lite.layers import CausalPad, Conv1d, ConvTranspose1d, Dilation, NoiseSynth, ResidualStack, make_activation
from rave_lite.layers.noise import modified_sigmoid


class Decoder(nn.Module):
    """RAVE v2's decoder, which mirrors the encoder. `(B, in_channels, T) -> (B, n_bands, T * prod(ratios))`.

    `ratios` and `dilations` are the encoder's, in its order. The waveform is multiplied by a sigmoid amplitude, joined
    by filtered noise where `noise` gives `NoiseSynth` its ratios, hidden and filter_bands, and bounded to `limit` by tanh.
    `band_gain` `(n_bands, 1)`: factor of each band before that, so that quiet bands are learned as fast as loud ones.
    The argument `delay` is in latent frames, the attribute in band samples.
    """

    band_gain: Tensor
    kernel_size, outputs = 3, 2  # of the first layer; of the last for each band
    upsampling: Callable[..., Conv1d | ConvTranspose1d] = ConvTranspose1d

    def __init__(self, n_bands: int, in_channels: int, *, capacity: int, ratios: list[int], dilations: list[list[Dilation]],
                 noise: dict[str, Any] | None = None, activation: str = "leaky_relu", alignment: str = "causal",
                 adaptive_norm: bool = False, limit: float = 1.0, delay: int = 0):
        super().__init__()
        channels = capacity * 2 ** len(ratios)
        layer: dict[str, Any] = {"activation": activation, "alignment": alignment}
        self.first = Conv1d(in_channels, channels, self.kernel_size, **layer, delay=delay)
        self.stages, delay = nn.Sequential(), self.first.delay
        for ratio, stack in zip(reversed(ratios), reversed(dilations), strict=True):
            stage = DecoderStage(self.upsampling, channels, ratio=ratio, dilations=stack, **layer,
                                 adaptive_norm=adaptive_norm, delay=delay)
            self.stages.append(stage)
            delay, channels = stage.units.delay, channels // 2
        self.activation = self.last_activation(activation, channels)
        self.waveform = Conv1d(channels, self.outputs * n_bands, 7, **layer, delay=delay)
        with torch.no_grad():
            self.waveform.weight = self.waveform.weight * 0.1  # start quiet
        self.register_buffer("band_gain", torch.ones(n_bands, 1))
        self.limit, self.delay = limit, self.waveform.delay
        self.noise = NoiseSynth(channels, n_bands, **noise, **layer, delay=delay) if noise else None
        if self.noise is not None:
            self.delay = max(self.waveform.delay, self.noise.delay)
            self.noise_skew = CausalPad(n_bands, self.delay - self.noise.delay)
        self.waveform_skew = CausalPad(n_bands, self.delay - self.waveform.delay)

    @torch.jit.unused
    def last_activation(self, activation: str, channels: int) -> nn.Module:
        """The activation before waveform and noise."""
        return make_activation(activation, channels)

    def forward(self, z: Tensor) -> Tensor:
        x = self.activation(self.stages(self.first(z)))
        waveform, amplitude = self.waveform(x).chunk(2, 1)
        y = self.waveform_skew(waveform * torch.sigmoid(amplitude))[..., : x.shape[-1]]
        if self.noise is not None:
            y = y + self.noise_skew(self.noise(x))[..., : x.shape[-1]]
        return self.bounded(y)

    def bounded(self, y: Tensor) -> Tensor:
        return self.limit * torch.tanh((self.band_gain / self.limit).to(y.dtype) * y)


class LoudnessDecoder(Decoder):
    """RAVE v1's decoder: one loudness for all bands, noise that is not bounded, `ratios` and `dilations` in its own order.

    The first layer is longer, a stage of ratio 1 has a plain convolution, and no activation comes before waveform, loudness
    and noise.
    """

    kernel_size, outputs = 7, 1

    @staticmethod
    def upsampling(channels: int, out_channels: int, ratio: int, **layer: Any) -> Conv1d | ConvTranspose1d:
        return (Conv1d(channels, out_channels, 3, **layer) if ratio == 1 else
                ConvTranspose1d(channels, out_channels, ratio, **layer))

    def __init__(self, n_bands: int, in_channels: int, *, ratios: list[int], dilations: list[list[Dilation]],
                 activation: str = "leaky_relu", alignment: str = "causal", **options: Any):
        layer: dict[str, Any] = {"activation": activation, "alignment": alignment}
        super().__init__(n_bands, in_channels, ratios=ratios[::-1], dilations=dilations[::-1], **layer, **options)
        last: Any = self.stages[-1]
        delay = last.units.delay
        self.loudness = Conv1d(self.waveform.in_channels, 1, 3, **layer, delay=delay)
        self.loudness_skew = CausalPad(1, self.waveform.delay - self.loudness.delay)

    @torch.jit.unused
    def last_activation(self, activation: str, channels: int) -> nn.Module:
        return nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        x = self.stages(self.first(z))
        loudness = modified_sigmoid(self.loudness_skew(self.loudness(x))[..., : x.shape[-1]])
        y = self.waveform_skew(self.bounded(self.waveform(x)) * loudness)[..., : x.shape[-1]]
        if self.noise is not None:
            y = y + self.band_gain.to(y.dtype) * self.noise_skew(self.noise(x))[..., : x.shape[-1]]
        return y


class DecoderStage(nn.Module):
    """An upsampling layer before residual units. `(B, C, T) -> (B, C / 2, T * ratio)`."""

    def __init__(self, upsampling: Callable[..., Conv1d | ConvTranspose1d], channels: int, *, ratio: int,
                 dilations: list[Dilation], activation: str, alignment: str, adaptive_norm: bool, delay: int):
        super().__init__()
        layer: dict[str, Any] = {"activation": activation, "alignment": alignment}
        self.activation = make_activation(activation, channels)
        self.up = upsampling(channels, channels // 2, ratio, **layer, delay=delay)
        self.units = ResidualStack(channels // 2, dilations, **layer, adaptive_norm=adaptive_norm, delay=self.up.delay)

    def forward(self, x: Tensor) -> Tensor:
        return self.units(self.up(self.activation(x)))


DECODERS = {"amplitude": Decoder, "loudness": LoudnessDecoder}
