"""A sound as a point: near points sound alike. Statistics of its log-mel spectrum; nothing is learned or fetched."""

from functools import lru_cache
from itertools import pairwise

import librosa
import numpy as np
from scipy.fft import dct

BANDS = 40  # mel
CEPSTRUM = 13  # coefficients of a spectrum's shape, of which the first, the level, is left out
LOWEST, HIGHEST = 40.0, 16000.0  # Hz
FLOOR = 60.0  # dB below the loudest moment, and the loudest band: what lies deeper is not heard
QUARTERS = (8, 18, 29)  # bands where the spectrum is cut in four: about 400 Hz, 1.2 kHz, 3.8 kHz
EMPTY = 1e-9  # power, of the loudest bin's: -90 dB


def embed(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """`(T,) -> (39,)`, the same at any level: the spectrum's shape and variation, how long it rings, how tonal it is.

    A step of 1 is 10 dB of spectrum or a factor of two in time. Silence, and any length from one sample on, is a point too.
    `sample_rate`: Hz, at least 32000; rates agree closely but not exactly.
    """
    peak = float(np.abs(samples).max(initial=0))
    if peak < 1e-12:
        samples, peak = np.zeros(1), 1.0
    n_fft = 2 ** round(np.log2(0.0464 * sample_rate))  # 2048 at 44.1 kHz
    hop = n_fft // 8
    sound = np.pad(np.asarray(samples, np.float64) / peak, n_fft)  # an attack at the very start rises like any other
    power = np.abs(librosa.stft(sound, n_fft=n_fft, hop_length=hop, pad_mode="constant")) ** 2
    mel = _filters(sample_rate, n_fft) @ power + 1e-20
    level = mel.sum(0)
    first, last = np.flatnonzero(level >= level.max() * 10 ** (-FLOOR / 10))[[0, -1]]
    power, mel = power[:, first : last + 1], mel[:, first : last + 1]
    return np.concatenate([_spectrum(mel), _times(mel, hop / sample_rate), _noisiness(power, sample_rate)])


@lru_cache(maxsize=4)
def _filters(sample_rate: int, n_fft: int) -> np.ndarray:
    return librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=BANDS, fmin=LOWEST, fmax=min(HIGHEST, sample_rate / 2))


def _spectrum(mel: np.ndarray) -> np.ndarray:
    """Cepstra of the mean spectrum (its loud part) and of the mean log one (its tail too); deviation in each quarter."""
    log = _decibels(mel)
    shapes = [dct(shape, norm="ortho")[1:CEPSTRUM] / BANDS**0.5 for shape in (_decibels(mel.mean(1)), log.mean(1))]
    return np.concatenate([*shapes, [part.mean() for part in np.split(log.std(1), QUARTERS)]]) / 10


def _times(mel: np.ndarray, step: float) -> np.ndarray:
    """Octaves of seconds: until 90 % of the energy has sounded (in each quarter, and in all); its centroid; the duration."""
    whole = mel.sum(0)
    passed = [np.cumsum(part) / part.sum() for part in [*(q.sum(0) for q in np.split(mel, QUARTERS)), whole]]
    rings = [np.searchsorted(part, 0.9) + 1 for part in passed]
    centroid = (whole * np.arange(1, len(whole) + 1)).sum() / whole.sum()
    return np.log2(np.array([*rings, centroid, len(whole)]) * step)


def _noisiness(power: np.ndarray, sample_rate: int) -> np.ndarray:
    """Spectral flatness of each quarter, its moments weighted by their energy: 0 for noise, some steps below for a tone."""
    edges = librosa.mel_frequencies(BANDS + 2, fmin=LOWEST, fmax=min(HIGHEST, sample_rate / 2))[[0, *QUARTERS, -1]]
    bins = np.round(edges * 2 * (len(power) - 1) / sample_rate).astype(int)
    flatness = []
    for first, last in pairwise(bins):
        part = power[first:last] + EMPTY * power.max() + 1e-20
        energy = part.sum(0)
        each = np.log10(part).mean(0) - np.log10(part.mean(0))
        flatness.append((each * energy).sum() / energy.sum())
    return np.array(flatness)


def _decibels(mel: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(mel / mel.max(), 10 ** (-FLOOR / 10)))
