"""Cosine-modulated filter bank with perfect reconstruction.

The prototype starts as a Kaiser-windowed sinc and is moved, by the smallest change in stop-band energy, onto the
perfect-reconstruction conditions for cosine-modulated banks: each pair of polyphase components is power complementary
(Koilpillai and Vaidyanathan, IEEE Trans. Signal Processing 40(4), 1992, eq. 12). Only rounding errors remain.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.errors import InputError
from rave_lite.layers.conv import MatrixConv
from rave_lite.layers.padding import CausalPad, StreamingPad

NEWTON_STEPS = 16  # the residual stops falling well before


class PQMF(nn.Module):
    """Analysis `(B, channels, T) -> (B, channels * n_bands, T / n_bands)`, `inverse` back, exact after `delay` samples.

    The bands of the first channel come first.

    `n_bands`: a power of two; others raise InputError. `attenuation`: stop-band, dB. `taps`: filter length, a multiple of
    `2 * n_bands`; default from the attenuation. The filters are buffers `(n_bands, taps)` in time order, part of the
    weights: any other bank of that size may be loaded.
    `alternate`: every second sample of odd bands is negated, which reverses their spectra, so that frequency rises in every
    band; blocks must then have an even number of band samples. `skew`: band samples by which these bands are later than
    those that the encoder's weights were trained on, relative to its frames.
    """

    analysis: Tensor
    synthesis: Tensor
    signs: Tensor

    def __init__(self, n_bands: int, attenuation: float, taps: int | None = None, *, alternate: bool = False,
                 skew: int = 0, channels: int = 1):
        super().__init__()
        if n_bands < 1 or n_bands & (n_bands - 1):
            raise InputError(f"{n_bands} bands; say a power of two, as in 16", where="model.n_bands")
        if channels not in (1, 2):
            raise InputError(f"{channels}; say 1 or 2", where="model.channels")
        taps = taps or default_taps(n_bands, attenuation)
        bank = torch.from_numpy(design(n_bands, attenuation, taps)).to(torch.get_default_dtype())
        self.n_bands, self.channels = n_bands, channels
        self.delay = taps - n_bands
        self.register_buffer("analysis", bank)
        self.register_buffer("synthesis", bank.flip(1).clone())
        self.alternate, self.skew = alternate, skew
        self.register_buffer("signs", alternating(n_bands), persistent=False)
        self.past_samples = CausalPad(n_bands, taps // n_bands - 1)  # in blocks of n_bands samples, as the channels
        self.past_bands = CausalPad(n_bands, taps // n_bands - 1)

    def forward(self, x: Tensor) -> Tensor:
        blocks = x.reshape(x.shape[0] * self.channels, -1, self.n_bands).transpose(1, 2)  # (B * channels, phase, block)
        bands = F.conv1d(self.past_samples(blocks), self.analysis_taps())
        bands = alternate_signs(bands, self.signs) if self.alternate else bands
        return bands.reshape(x.shape[0], -1, bands.shape[2])

    def inverse(self, bands: Tensor) -> Tensor:
        batch, bands = bands.shape[0], bands.reshape(-1, self.n_bands, bands.shape[2])
        bands = alternate_signs(bands, self.signs) if self.alternate else bands
        blocks = F.conv1d(self.past_bands(bands), self.synthesis_taps())
        return blocks.transpose(1, 2).reshape(batch, self.channels, -1)

    def analysis_taps(self) -> Tensor:
        """The analysis filters as a convolution over blocks: `(band, phase, block)`."""
        return self.analysis.flip(1).unflatten(1, (-1, self.n_bands)).transpose(1, 2)

    def synthesis_taps(self) -> Tensor:
        """The synthesis filters as a convolution over blocks: `(phase, band, block)`."""
        return self.synthesis.unflatten(1, (-1, self.n_bands)).permute(2, 0, 1).flip(2)

    def streaming(self, batch_size: int) -> nn.Module:
        return StreamingPQMF(self, batch_size)


class StreamingPQMF(nn.Module):
    """Streaming form of `PQMF`: two matrix products."""

    signs: Tensor

    def __init__(self, bank: PQMF, batch_size: int):
        super().__init__()
        self.n_bands, self.channels, self.alternate = bank.n_bands, bank.channels, bank.alternate
        self.register_buffer("signs", bank.signs, persistent=False)
        blocks = bank.analysis.shape[1] // bank.n_bands
        past = [StreamingPad(bank.n_bands, blocks - 1, batch_size * bank.channels) for _ in range(2)]
        self.analysis = MatrixConv(bank.analysis_taps().transpose(1, 2).flatten(1), past[0], kernel_size=blocks)
        self.synthesis = MatrixConv(bank.synthesis_taps().transpose(1, 2).flatten(1), past[1], kernel_size=blocks,
                                    ratio=bank.n_bands)

    def forward(self, x: Tensor) -> Tensor:
        bands = self.analysis(x.reshape(x.shape[0] * self.channels, -1, self.n_bands).transpose(1, 2))
        bands = alternate_signs(bands, self.signs) if self.alternate else bands
        return bands.reshape(x.shape[0], -1, bands.shape[2])

    def inverse(self, bands: Tensor) -> Tensor:
        batch, bands = bands.shape[0], bands.reshape(-1, self.n_bands, bands.shape[2])
        x = self.synthesis(alternate_signs(bands, self.signs) if self.alternate else bands)
        return x.reshape(batch, self.channels, -1)


def alternating(n_bands: int) -> Tensor:
    """`(n_bands, 1, 2)`: signs of the even and odd samples of each band."""
    signs = torch.ones(n_bands, 1, 2)
    signs[1::2, :, 1] = -1
    return signs


def alternate_signs(bands: Tensor, signs: Tensor) -> Tensor:
    return (bands.unflatten(2, (-1, 2)) * signs).flatten(2)


def default_taps(n_bands: int, attenuation: float) -> int:
    """Kaiser's length for a transition of half a band, rounded up to a power of two: 512 for 16 bands at 100 dB."""
    length = (attenuation - 7.95) / 2.285 / (np.pi / n_bands / 2) + 1
    return max(4 * n_bands, 2 ** int(np.ceil(np.log2(length))))


@lru_cache
def design(n_bands: int, attenuation: float, taps: int) -> np.ndarray:
    """Analysis filters `(n_bands, taps)`, float64, orthonormal: their time reversals are the synthesis filters."""
    prototype = _perfect_reconstruction(_kaiser_sinc(n_bands, attenuation, taps), n_bands)
    t = np.arange(taps) - (taps - 1) / 2
    k = np.arange(n_bands)[:, None]
    return 2 * prototype * np.cos((2 * k + 1) * np.pi / (2 * n_bands) * t + (-1.0) ** k * np.pi / 4)


def _kaiser_sinc(n_bands: int, attenuation: float, taps: int) -> np.ndarray:
    """Windowed sinc whose cut-off makes its autocorrelation closest to a 2M-th band filter; unit energy."""
    t = np.arange(taps) - (taps - 1) / 2
    window = np.kaiser(taps, 0.1102 * (attenuation - 8.7) if attenuation > 50 else 0.06 * attenuation)

    def prototype(cutoff: float) -> np.ndarray:
        p = window * np.sinc(cutoff * t / n_bands)
        return p / np.linalg.norm(p)

    def overlap(cutoff: float) -> float:
        p = prototype(cutoff)
        return float(np.abs(np.correlate(p, p, "full")[taps - 1 :: 2 * n_bands][1:]).max())

    return prototype(min(np.linspace(0.5, 1, 1000), key=overlap))


def _perfect_reconstruction(prototype: np.ndarray, n_bands: int) -> np.ndarray:
    """Move `prototype` onto power complementarity by Newton steps of least added stop-band energy."""
    taps, half = len(prototype), len(prototype) // 2
    unfold = np.vstack([np.eye(half), np.eye(half)[::-1]])  # from half a symmetric filter to the whole
    lag = np.abs(np.subtract.outer(np.arange(taps), np.arange(taps)))
    stop = (lag == 0) - np.sinc(lag / n_bands) / n_bands  # energy above pi / n_bands, as a quadratic form
    metric = np.linalg.cholesky(unfold.T @ (stop + 1e-9 * np.eye(taps)) @ unfold)
    p = prototype
    for _ in range(NEWTON_STEPS):
        error, slope = _complementarity(p, n_bands)
        scaled = np.linalg.solve(metric, (slope @ unfold).T)
        p = p - unfold @ np.linalg.solve(metric.T, scaled @ np.linalg.lstsq(scaled.T @ scaled, error, rcond=1e-13)[0])
    return p


def _complementarity(p: np.ndarray, n_bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Power complementarity errors of the polyphase pairs (k, k + M) at each even lag, and their gradients in p."""
    length = len(p) // (2 * n_bands)
    errors, slopes = [], []
    for k in range((n_bands + 1) // 2):
        for lag in range(length):
            slope = np.zeros_like(p)
            for phase in (k, k + n_bands):
                taps = np.arange(phase, len(p), 2 * n_bands)
                slope[taps[lag:]] += p[taps[: length - lag]]
                slope[taps[: length - lag]] += p[taps[lag:]]
            errors.append(slope @ p / 2 - (lag == 0) / (2 * n_bands))
            slopes.append(slope)
    return np.array(errors), np.array(slopes)
