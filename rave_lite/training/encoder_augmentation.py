"""Foreign timbre for the encoder alone: it learns to hear the gesture, and the decoder still makes what was recorded."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rave_lite.errors import InputError
from rave_lite.training.ada import equaliser_db

MAX_EQ_DB, MAX_SPECTRUM_DB = 15.0, 20.0
KNOTS = 12  # of the equaliser and of other recordings' spectra
MAX_SHIFT = 0.03  # of all partials, cycles per sample: 1.3 kHz at 44.1 kHz
TONES = (0.003, 0.12)  # cycles per sample: 130 Hz to 5.3 kHz
HARMONICS = 6
ENVELOPE = 128  # samples: of the level that a tone takes over
NOISE_DB = (-60.0, -25.0)  # of the window's level


def encoder_augmentation(settings: Any) -> "EncoderAugmentation | None":
    """The augmentation with the settings `training.encoder_augmentation`, None for None. Raises InputError for others."""
    where = "training.encoder_augmentation"
    if settings is None:
        return None
    if not isinstance(settings, Mapping) or not settings.keys() <= {"p", "agreement"}:
        raise InputError(f"{settings}; say null, or {{p: 0.5, agreement: 1.0}}", where=where)
    for name, value in settings.items():
        if not isinstance(value, int | float) or not 0 <= value <= (1 if name == "p" else math.inf):
            raise InputError(f"{value}; say 0.5" if name == "p" else f"{value}; say 1.0", where=f"{where}.{name}")
    return EncoderAugmentation(**settings)


class EncoderAugmentation:
    """Changes the timbre of what the encoder hears, `(B, channels, T)`, and keeps its level and all its times.

    With probability `p` each: a tone with the window's envelope in its place, an equaliser, the spectrum of another window
    of the batch, a shift of all partials, and noise. `p` is also the share of windows that are decoded as changed.
    `agreement`: weight of the loss that draws the latents of changed windows to those of the unchanged.
    """

    def __init__(self, *, p: float = 0.5, agreement: float = 1.0):
        self.p, self.agreement = p, agreement

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        y = torch.where(self._chance(x).unsqueeze(2), self._tone(x), x)
        spectrum = torch.fft.rfft(y)
        w = 2 * math.pi / x.shape[-1] * torch.arange(spectrum.shape[-1], device=x.device)
        level = self._drawn(x, -MAX_EQ_DB, MAX_EQ_DB, KNOTS) + self._chance(x) * self._spectrum_db(spectrum, w)
        spectrum = self._shifted(spectrum * 10 ** (equaliser_db(level, w).unsqueeze(1) / 20), x.shape[-1])
        y = torch.fft.irfft(spectrum, x.shape[-1])
        y = y * (rms(x) / rms(y).clamp_min(1e-6)).unsqueeze(2)
        noise_db = NOISE_DB[0] + (NOISE_DB[1] - NOISE_DB[0]) * torch.rand_like(y[:, 0, :1])
        level = self._chance(x) * 10 ** (noise_db / 20) * rms(y)
        return y + level.unsqueeze(2) * torch.randn_like(y)

    def choose(self, h: Tensor) -> Tensor:
        """Of latents `(2 * B, C, T)` of unchanged and changed windows, those that are decoded, `(B, C, T)`."""
        plain, changed = h.chunk(2)
        return torch.where(torch.rand(len(plain), 1, 1, device=h.device) < self.p, changed, plain)

    def _chance(self, x: Tensor) -> Tensor:
        return torch.rand(len(x), 1, device=x.device) < self.p

    def _drawn(self, x: Tensor, low: float, high: float, count: int = 1) -> Tensor:
        """`(B, count)`: uniform with probability p, else 0."""
        return self._chance(x) * (low + (high - low) * torch.rand(len(x), count, device=x.device))

    def _tone(self, x: Tensor) -> Tensor:
        """`(B, channels, T)`: a gliding tone, every other one with harmonics, with each channel's short-time level."""
        start, glide, rich = torch.rand(3, len(x), 1, device=x.device)
        time = torch.arange(x.shape[-1], device=x.device)
        frequency = TONES[0] * (TONES[1] / TONES[0]) ** start * 2 ** ((glide - 0.5) * time / x.shape[-1])
        phase = 2 * math.pi * frequency.double().cumsum(1).remainder(1.0).to(x.dtype)
        tone = torch.sin(phase)
        for k in range(2, HARMONICS + 1):
            tone = tone + (rich > 0.5) * (k * frequency < 0.5) * torch.sin(k * phase) / k
        power = F.avg_pool1d(x.square(), ENVELOPE + 1, 1, ENVELOPE // 2)
        return tone.unsqueeze(1) * (2 * power).sqrt()

    def _spectrum_db(self, spectrum: Tensor, w: Tensor) -> Tensor:
        """`(B, KNOTS)`: the next window's level against each window's own, dB, at the knots of the equaliser."""
        knots = torch.eye(KNOTS, device=w.device)
        weight = equaliser_db(knots, w)  # of each bin at each knot
        level = 10 * torch.log10(spectrum.abs().square().mean(1) @ weight.T + 1e-8)
        return (level.roll(1, 0) - level).clamp(-MAX_SPECTRUM_DB, MAX_SPECTRUM_DB)

    def _shifted(self, spectrum: Tensor, length: int) -> Tensor:
        """The spectrum, all partials moved by the same number of Hz."""
        bins = torch.arange(spectrum.shape[-1], device=spectrum.device)
        source = bins - (self._drawn(spectrum, -MAX_SHIFT, MAX_SHIFT) * length).long()
        inside = (source >= 0) & (source < len(bins))
        return spectrum.gather(2, source.clamp(0, len(bins) - 1).unsqueeze(1).expand_as(spectrum)) * inside.unsqueeze(1)


def agreement(plain: Tensor, changed: Tensor) -> Tensor:
    """Squared distance of the latents of changed windows to those of the unchanged, `(B, C, T)`, relative to their variance.

    Only the changed ones have a gradient.
    """
    target = plain.detach()
    return F.mse_loss(changed, target) / target.var((0, 2)).mean().clamp_min(1e-6)


def rms(x: Tensor) -> Tensor:
    """Of both channels together, `(B, channels, T) -> (B, 1)`."""
    return x.square().mean(2).mean(1, keepdim=True).sqrt()
