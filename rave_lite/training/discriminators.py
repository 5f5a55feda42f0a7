"""Discriminators of phase 2: each returns lists of features, convolution outputs before activation, the score last.

Its first convolution's output is no feature: as a linear filter of the waveform it says nothing that the distances do not.
None changes the level of its input, so a silent window stays silent.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.errors import InputError
from rave_lite.layers import weight_norm

SLOPE = 0.2  # of the activations below zero


def run_layers(convs: Any, x: Tensor) -> list[Tensor]:
    """Outputs of all convolutions but the first; each gets the activation of the one before."""
    features = [convs[1](F.leaky_relu(convs[0](x), SLOPE, inplace=True))]  # nothing else needs the first's output
    for conv in convs[2:]:
        features.append(conv(F.leaky_relu(features[-1], SLOPE)))
    return features


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
        features = run_layers(self.convs, x)
        return [*features, self.head(F.leaky_relu(features[-1], SLOPE))]


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


class SpectrogramStack(nn.Module):
    """Convolutions over the complex spectrogram of `n_fft` samples, hop n_fft / 4, real and imaginary part as channels.

    `(B, 1, T) -> [features..., (B, 1, frames, F)]`. Each band between two of `bands`, shares of half the sampling rate, has
    convolutions of its own; one head judges all side by side. Their kernels are 3 frames times 9 bins, the last's and the
    head's 3 times 3. All but the first and the last halve the bins and dilate over time. The window has unit energy:
    full-scale noise is near 1.
    """

    window: Tensor

    def __init__(self, n_fft: int, channels: list[int], dilations: list[int], bands: list[float]):
        super().__init__()
        window = torch.hann_window(n_fft)
        self.register_buffer("window", window / window.norm(), persistent=False)
        edges = [int(share * (n_fft // 2 + 1)) for share in bands]
        self.widths = [high - low for low, high in pairwise(edges)]
        self.first = edges[0]
        self.bands = nn.ModuleList(band_layers(channels, dilations) for _ in self.widths)
        self.head = nn.Conv2d(channels[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        bands = self.spectrogram(x).narrow(3, self.first, sum(self.widths)).split(self.widths, 3)
        features = [run_layers(convs, band) for convs, band in zip(self.bands, bands, strict=True)]
        last = torch.cat([band[-1] for band in features], 3) if len(features) > 1 else features[0][-1]
        return [*(feature for band in features for feature in band), self.head(F.leaky_relu(last, SLOPE))]

    def spectrogram(self, x: Tensor) -> Tensor:
        """`(B, 1, T) -> (B, 2, frames, n_fft / 2 + 1)`, in float32 at least."""
        n = len(self.window)
        with torch.autocast(x.device.type, enabled=False):
            padded = F.pad(x.squeeze(1).to(self.window.dtype), (n // 2, n // 2))
            spectra = torch.fft.rfft(padded.unfold(1, n, n // 4) * self.window)
        return torch.view_as_real(spectra).permute(0, 3, 1, 2)


def band_layers(channels: list[int], dilations: list[int]) -> nn.ModuleList:
    first = nn.Conv2d(2, channels[0], (3, 9), padding=(1, 4))
    inner = [nn.Conv2d(a, b, (3, 9), stride=(1, 2), dilation=(d, 1), padding=(d, 4))
             for (a, b), d in zip(pairwise(channels[:-1]), dilations, strict=True)]
    last = nn.Conv2d(channels[-2], channels[-1], 3, padding=1)
    return nn.ModuleList(weight_norm(conv) for conv in (first, *inner, last))


class SpectrogramDiscriminator(nn.Module):
    """A `SpectrogramStack` for each of `n_fft` (Défossez et al., EnCodec, 2022; Kumar et al., DAC, 2023). `(B, 1, T)`.

    `channels`: of each convolution; `dilations`: over time, of all but the first and the last; `bands`: edges of the bands,
    shares of half the sampling rate. Raises InputError unless there are two channels more than dilations.
    """

    def __init__(self, *, n_fft: list[int], channels: list[int], dilations: list[int], bands: list[float]):
        super().__init__()
        if len(channels) != len(dilations) + 2:
            raise InputError(f"{len(channels)} channels for {len(dilations)} dilations; the first and the last convolution "
                             f"have none: two more", where="discriminator.channels")
        self.count = len(n_fft)
        self.by_size = nn.ModuleDict({str(n): SpectrogramStack(n, channels, dilations, bands) for n in n_fft})

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        return [stack(x) for stack in self.by_size.values()]


class Together(nn.Module):
    """Several discriminators, by name, as one. `(B, 1, T)`."""

    def __init__(self, *, parts: dict[str, Any]):
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.count = sum(part.count for part in parts.values())

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        return [stack for part in self.parts.values() for stack in part(x)]
