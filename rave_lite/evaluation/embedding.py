"""Embedding of a sound: statistics of its log-mel spectrum, near for similar sounds. Nothing is learned or downloaded."""

from functools import lru_cache
from itertools import pairwise

import librosa
import numpy as np
from scipy.fft import dct

from rave_lite.data import audio

BANDS = 40  # mel
CEPSTRUM = 13  # cepstral coefficients; the first, the level, is left out
LOWEST, HIGHEST = 40.0, 16000.0  # Hz
FLOOR = 60.0  # dB below the loudest frame, or the loudest band: anything lower is ignored as inaudible
QUARTERS = (8, 18, 29)  # bands at which the spectrum is cut into four parts: about 400 Hz, 1.2 kHz, 3.8 kHz
EMPTY = 1e-9  # power floor, as a share of the loudest bin's power: -90 dB


def embed(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Embedding `(T,) -> (39,)`: shape and variation of the spectrum, decay times, and tonality; independent of the level.

    A difference of 1 is 10 dB of spectrum or a factor of two in time. Silence and sounds of any length are embedded too.
    `sample_rate`: Hz, at least 32000; rates agree closely but not exactly.
    """
    peak = audio.peak(samples)
    if peak < 1e-12:
        samples, peak = np.zeros(1), 1.0
    n_fft = 2 ** round(np.log2(0.0464 * sample_rate))  # 2048 at 44.1 kHz
    hop = n_fft // 8
    sound = np.pad(np.asarray(samples, np.float64) / peak, n_fft)  # so that an attack at the start rises from silence, too
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
    """Cepstra of the mean spectrum (the loud part) and of the mean log spectrum (the tail too); deviation by quarter."""
    log = _decibels(mel)
    shapes = [dct(shape, norm="ortho")[1:CEPSTRUM] / BANDS**0.5 for shape in (_decibels(mel.mean(1)), log.mean(1))]
    return np.concatenate([*shapes, [part.mean() for part in np.split(log.std(1), QUARTERS)]]) / 10


def _times(mel: np.ndarray, step: float) -> np.ndarray:
    """Log2 of seconds: time until 90 % of the energy has passed (each quarter, then all), temporal centroid, duration."""
    whole = mel.sum(0)
    cumulative = [np.cumsum(part) / part.sum() for part in [*(q.sum(0) for q in np.split(mel, QUARTERS)), whole]]
    rings = [np.searchsorted(part, 0.9) + 1 for part in cumulative]
    centroid = (whole * np.arange(1, len(whole) + 1)).sum() / whole.sum()
    return np.log2(np.array([*rings, centroid, len(whole)]) * step)


def _noisiness(power: np.ndarray, sample_rate: int) -> np.ndarray:
    """Log10 of the spectral flatness of each quarter, frames weighted by energy: 0 for noise, well below 0 for a tone."""
    edges = librosa.mel_frequencies(BANDS + 2, fmin=LOWEST, fmax=min(HIGHEST, sample_rate / 2))[[0, *QUARTERS, -1]]
    bins = np.round(edges * 2 * (len(power) - 1) / sample_rate).astype(int)
    flatness = []
    for first, last in pairwise(bins):
        part = power[first:last] + EMPTY * power.max() + 1e-20
        energy = part.sum(0)
        by_frame = np.log10(part).mean(0) - np.log10(part.mean(0))
        flatness.append((by_frame * energy).sum() / energy.sum())
    return np.array(flatness)


def _decibels(mel: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(mel / mel.max(), 10 ** (-FLOOR / 10)))
